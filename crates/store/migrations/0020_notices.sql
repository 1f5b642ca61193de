-- Where the person of an account is told what happens to it; what waits to be told, and to which address it goes; how
-- often that was told of late; from where the account was logged in to before.
CREATE TABLE account_emails (
  account TEXT PRIMARY KEY REFERENCES accounts (name),
  address TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE account_notices (
  account TEXT NOT NULL REFERENCES accounts (name),
  address TEXT NOT NULL,
  track TEXT NOT NULL,
  what TEXT NOT NULL,
  source TEXT,
  count BIGINT NOT NULL,
  first_at BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  PRIMARY KEY (account, address, track, what)
) WITHOUT ROWID;
CREATE TABLE account_letters (
  account TEXT NOT NULL REFERENCES accounts (name),
  address TEXT NOT NULL,
  track TEXT NOT NULL,
  sent BIGINT NOT NULL,
  sent_at BIGINT NOT NULL,
  tries BIGINT NOT NULL,
  next_at BIGINT NOT NULL,
  PRIMARY KEY (account, address, track)
) WITHOUT ROWID;
CREATE TABLE account_places (
  account TEXT NOT NULL REFERENCES accounts (name),
  place TEXT NOT NULL,
  seen_at BIGINT NOT NULL,
  PRIMARY KEY (account, place)
) WITHOUT ROWID;
