-- Roles that people wrote, with each version there was; teams; what an account is within bounds or for a time.
CREATE TABLE roles (
  name TEXT PRIMARY KEY,
  description TEXT NOT NULL,
  cedar TEXT NOT NULL,
  version BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  changed_by TEXT NOT NULL
);
CREATE TABLE role_versions (
  name TEXT NOT NULL,
  version BIGINT NOT NULL,
  description TEXT NOT NULL,
  cedar TEXT NOT NULL,
  changed_at BIGINT NOT NULL,
  changed_by TEXT NOT NULL,
  PRIMARY KEY (name, version)
);
CREATE TABLE account_assignments (
  account TEXT PRIMARY KEY REFERENCES accounts (name),
  assignments TEXT NOT NULL
);
CREATE TABLE teams (
  name TEXT PRIMARY KEY,
  members TEXT NOT NULL,
  assignments TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE TABLE elevations (
  id TEXT PRIMARY KEY,
  account TEXT NOT NULL REFERENCES accounts (name),
  role TEXT NOT NULL,
  reason TEXT NOT NULL,
  minutes BIGINT NOT NULL,
  state TEXT NOT NULL,
  asked_at BIGINT NOT NULL,
  decided_by TEXT,
  decided_at BIGINT,
  ends_at BIGINT
);
CREATE TABLE approvals (
  id TEXT PRIMARY KEY,
  act TEXT NOT NULL,
  path TEXT NOT NULL,
  digest BLOB NOT NULL,
  body TEXT NOT NULL,
  asker TEXT NOT NULL,
  state TEXT NOT NULL,
  asked_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  decided_by TEXT,
  decided_at BIGINT
);
-- By whose doing an API token came to be: nobody is a second person to themselves.
CREATE TABLE api_token_makers (
  token TEXT PRIMARY KEY,
  account TEXT NOT NULL
);
CREATE TABLE access_log (
  minute BIGINT NOT NULL,
  kind TEXT NOT NULL,
  caller TEXT NOT NULL,
  act TEXT NOT NULL,
  target TEXT NOT NULL,
  outcome TEXT NOT NULL,
  times BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  PRIMARY KEY (minute, kind, caller, act, target, outcome)
);
CREATE INDEX access_log_by_caller ON access_log (kind, caller, minute);
