-- Telemetry sealed at rest: what is kept, and where it is.
ALTER TABLE grants ADD COLUMN keep_days BIGINT NOT NULL DEFAULT 0;
-- How far the log is durable. One row.
CREATE TABLE vault_mark (
  id BIGINT PRIMARY KEY,
  rolled BIGINT NOT NULL,
  file BIGINT NOT NULL,
  chunks BIGINT NOT NULL,
  next_message BIGINT NOT NULL
);
-- Key-encryption keys of segments, wrapped by the root key.
CREATE TABLE vault_keys (
  segment TEXT NOT NULL,
  version BIGINT NOT NULL,
  wrapped BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (segment, version)
) WITHOUT ROWID;
-- Sealed files. `writing` before the file is there, `live`, `dead` until it is gone.
CREATE TABLE vault_objects (
  id TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  path TEXT NOT NULL,
  segment TEXT NOT NULL,
  days BIGINT NOT NULL,
  day BIGINT NOT NULL,
  key_version BIGINT NOT NULL,
  wrapped BLOB NOT NULL,
  rows BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  from_at BIGINT NOT NULL,
  to_at BIGINT NOT NULL,
  first_device TEXT NOT NULL,
  last_device TEXT NOT NULL,
  created_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX vault_objects_day ON vault_objects (state, day, first_device);
-- What must not be taken away, whatever retention says.
CREATE TABLE vault_holds (
  id TEXT PRIMARY KEY,
  device TEXT,
  from_at BIGINT,
  until_at BIGINT,
  reason TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  released_at BIGINT
) WITHOUT ROWID;
