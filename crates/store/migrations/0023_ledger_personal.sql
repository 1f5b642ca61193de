-- What is about persons in entries of the ledger: the entry holds the salted hash, and what opens it stands here until the
-- person is erased. Entries of before have it in themselves.
CREATE TABLE ledger_personal (
  seq BIGINT NOT NULL,
  field TEXT NOT NULL,
  subject TEXT NOT NULL,
  salt BLOB NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (seq, field)
) WITHOUT ROWID;
