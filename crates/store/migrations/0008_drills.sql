-- Drills: what was rehearsed, and what came of it.
CREATE TABLE drills (
  id TEXT PRIMARY KEY,
  scenario TEXT NOT NULL,
  passed BIGINT NOT NULL,
  recorded_by TEXT NOT NULL,
  recorded_at BIGINT NOT NULL,
  body TEXT NOT NULL
) WITHOUT ROWID;
