-- What people and programs did, tried and read. Nothing was ever written to the table of 0016.
DROP INDEX access_log_by_caller;
DROP TABLE access_log;
-- What is alike within an hour is one row (event is empty); an act that is an entry of the ledger is a row of
-- its own, with the name of that entry.
CREATE TABLE access_log (
  id TEXT PRIMARY KEY,
  hour BIGINT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  action TEXT NOT NULL,
  outcome TEXT NOT NULL,
  event TEXT NOT NULL,
  name TEXT NOT NULL,
  session TEXT,
  times BIGINT NOT NULL,
  first_at BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  resource TEXT NOT NULL,
  source TEXT,
  status BIGINT,
  reason TEXT,
  UNIQUE (hour, kind, subject, action, outcome, event)
);
CREATE INDEX access_log_by_name ON access_log (name, id);
CREATE INDEX access_log_by_subject ON access_log (subject, id);
CREATE INDEX access_log_by_action ON access_log (action, id);
CREATE INDEX access_log_by_outcome ON access_log (outcome, id);
CREATE INDEX access_log_by_last_at ON access_log (last_at);
-- When each of them last did what: small, so that a review need not read the log.
CREATE TABLE access_uses (
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  action TEXT NOT NULL,
  outcome TEXT NOT NULL,
  times BIGINT NOT NULL,
  first_at BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  PRIMARY KEY (kind, subject, action, outcome)
);
-- Reviews that somebody signed.
CREATE TABLE access_reviews (
  id TEXT PRIMARY KEY,
  reviewer TEXT NOT NULL,
  reviewed_at BIGINT NOT NULL,
  digest TEXT NOT NULL,
  days BIGINT NOT NULL,
  accounts BIGINT NOT NULL,
  suggestions BIGINT NOT NULL,
  note TEXT NOT NULL
);
