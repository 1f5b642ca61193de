-- Devices that are asked for a new key, by the action that asks. Times in nanoseconds. `ends_at` is when the
-- old certificates end at the latest, once there is a new one; `old_keys` are the SHA-256 of the keys to be replaced.
CREATE TABLE rotations (
  action TEXT PRIMARY KEY,
  device TEXT NOT NULL,
  state TEXT NOT NULL,
  asked_at BIGINT NOT NULL,
  follow_by BIGINT NOT NULL,
  keep_old_s BIGINT NOT NULL,
  old_keys TEXT NOT NULL,
  serial TEXT,
  ends_at BIGINT
) WITHOUT ROWID;
CREATE UNIQUE INDEX rotations_open ON rotations (device) WHERE state IN ('asked', 'issued', 'contested');
CREATE INDEX rotations_by_device ON rotations (device, asked_at);
