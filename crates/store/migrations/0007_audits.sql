-- An event's JSON begins with its id ({"id":"<26 characters>"): what a finding names is found by it.
CREATE INDEX outbox_by_event ON outbox (SUBSTR(body, 8, 26));
CREATE TABLE audit_runs (
  id TEXT PRIMARY KEY,
  started_by TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  ended_at BIGINT,
  interrupted BIGINT NOT NULL
) WITHOUT ROWID;
CREATE TABLE audit_results (
  run TEXT NOT NULL,
  audit_check TEXT NOT NULL,
  state TEXT NOT NULL,
  looked_at BIGINT NOT NULL,
  non_compliant BIGINT NOT NULL,
  listed BIGINT NOT NULL,
  note TEXT,
  ended_at BIGINT NOT NULL,
  PRIMARY KEY (run, audit_check)
) WITHOUT ROWID;
CREATE INDEX audit_results_by_check ON audit_results (audit_check, run);
CREATE TABLE audit_resources (
  run TEXT NOT NULL,
  audit_check TEXT NOT NULL,
  resource TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  mitigated_at BIGINT,
  mitigated_by TEXT,
  PRIMARY KEY (run, audit_check, resource)
) WITHOUT ROWID;
CREATE INDEX audit_resources_by_subject ON audit_resources (run, audit_check, subject);
-- The keys of certificates that were issued, as an audit read them: which are weak, which are shared.
CREATE TABLE certificate_keys (
  serial TEXT PRIMARY KEY,
  key_hash BLOB NOT NULL,
  kind TEXT NOT NULL,
  weak BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX certificate_keys_by_hash ON certificate_keys (key_hash);
CREATE INDEX certificate_keys_weak ON certificate_keys (serial) WHERE weak = 1;
-- What devices say of their firmware, and since when.
CREATE TABLE device_versions (
  device TEXT PRIMARY KEY,
  product TEXT NOT NULL,
  version TEXT NOT NULL,
  since BIGINT NOT NULL,
  reported_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX device_versions_by_product ON device_versions (product, version, device);
-- What was seen on the stream of events and an audit is to speak of.
CREATE TABLE audit_marks (
  audit_check TEXT NOT NULL,
  device TEXT NOT NULL,
  detail TEXT NOT NULL,
  seen BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  PRIMARY KEY (audit_check, device)
) WITHOUT ROWID;
