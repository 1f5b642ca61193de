-- Hashes over 256^level entries each, so that a proof needs no more than a few rows. Entries that were written
-- before have theirs made at the next start.
CREATE TABLE ledger_nodes (
  level BIGINT NOT NULL,
  idx BIGINT NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (level, idx)
) WITHOUT ROWID;
CREATE TABLE ledger_checkpoints (
  size BIGINT PRIMARY KEY,
  root BLOB NOT NULL,
  note TEXT NOT NULL,
  signed_at BIGINT NOT NULL,
  published_at BIGINT
);
