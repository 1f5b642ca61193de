-- What detection found. The same detector about the same subject joins an open finding.
CREATE TABLE findings (
  id TEXT PRIMARY KEY,
  detector TEXT NOT NULL,
  subject TEXT NOT NULL,
  device TEXT,
  source TEXT,
  severity TEXT NOT NULL,
  state TEXT NOT NULL,
  verdict TEXT,
  verdict_by TEXT,
  verdict_note TEXT,
  last_seen BIGINT NOT NULL,
  body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX findings_by_subject ON findings (subject, detector);
CREATE INDEX findings_by_device ON findings (device) WHERE device IS NOT NULL;
CREATE TABLE suppressions (
  id TEXT PRIMARY KEY,
  detector TEXT NOT NULL,
  subject TEXT NOT NULL,
  until BIGINT,
  reason TEXT NOT NULL,
  made_by TEXT NOT NULL,
  created_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE TABLE detectors (
  detector TEXT PRIMARY KEY,
  enabled BIGINT NOT NULL,
  changed_by TEXT NOT NULL,
  changed_at BIGINT NOT NULL
) WITHOUT ROWID;
