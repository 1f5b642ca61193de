-- Accounts of people, their log-in sessions, their passwords of before and their second factors.
CREATE TABLE accounts (
  name TEXT PRIMARY KEY,
  roles TEXT NOT NULL,
  password TEXT NOT NULL,
  must_change BIGINT NOT NULL,
  disabled BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  password_changed_at BIGINT NOT NULL,
  last_login_at BIGINT
) WITHOUT ROWID;
CREATE TABLE password_history (
  account TEXT NOT NULL REFERENCES accounts (name),
  retired_at BIGINT NOT NULL,
  password TEXT NOT NULL,
  PRIMARY KEY (account, retired_at)
) WITHOUT ROWID;
CREATE TABLE account_sessions (
  id TEXT PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  account TEXT NOT NULL REFERENCES accounts (name),
  generation BIGINT NOT NULL,
  second_factor BIGINT NOT NULL,
  source TEXT,
  created_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX account_sessions_by_account ON account_sessions (account, id);
CREATE TABLE second_factors (
  account TEXT NOT NULL REFERENCES accounts (name),
  kind TEXT NOT NULL,
  sealed BLOB NOT NULL,
  confirmed BIGINT NOT NULL,
  last_step BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (account, kind)
) WITHOUT ROWID;
CREATE TABLE recovery_codes (
  account TEXT NOT NULL REFERENCES accounts (name),
  hash BLOB NOT NULL,
  used_at BIGINT,
  PRIMARY KEY (account, hash)
) WITHOUT ROWID;
