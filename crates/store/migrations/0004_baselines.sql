-- What is usual for each device and each product, and what operators say about it.
CREATE TABLE baselines (
  device TEXT PRIMARY KEY,
  product TEXT NOT NULL,
  state BLOB NOT NULL,
  updated_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX baselines_by_age ON baselines (updated_at, device);
CREATE TABLE baseline_cohorts (
  product TEXT PRIMARY KEY,
  state BLOB NOT NULL,
  updated_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE TABLE baseline_settings (
  scope TEXT PRIMARY KEY,
  body TEXT NOT NULL,
  changed_by TEXT NOT NULL,
  changed_at BIGINT NOT NULL
) WITHOUT ROWID;
