-- What an import has read so far. One statement moves it to devices, so that a million of them hold the
-- writer for a moment and not for the time that a client takes to send them.
CREATE TABLE device_imports (
  import BIGINT NOT NULL,
  id TEXT NOT NULL,
  product TEXT NOT NULL,
  labels TEXT NOT NULL,
  lifecycle TEXT NOT NULL,
  segment TEXT NOT NULL,
  trust BIGINT NOT NULL,
  reasons TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  registered_at BIGINT NOT NULL,
  PRIMARY KEY (import, id)
) WITHOUT ROWID;
