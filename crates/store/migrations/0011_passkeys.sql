-- Passkeys of people, the random names that authenticators know their accounts by, and what waits for a browser
-- to come back.
CREATE TABLE account_handles (
  account TEXT PRIMARY KEY REFERENCES accounts (name),
  handle BLOB NOT NULL UNIQUE
) WITHOUT ROWID;
CREATE TABLE passkeys (
  id TEXT PRIMARY KEY,
  account TEXT NOT NULL REFERENCES accounts (name),
  credential BLOB NOT NULL UNIQUE,
  name TEXT NOT NULL,
  public_key TEXT NOT NULL,
  counter BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  last_used_at BIGINT
) WITHOUT ROWID;
CREATE INDEX passkeys_by_account ON passkeys (account, id);
CREATE TABLE ceremonies (
  hash BLOB PRIMARY KEY,
  kind TEXT NOT NULL,
  holder TEXT NOT NULL,
  state TEXT NOT NULL,
  expires_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX ceremonies_by_age ON ceremonies (kind, expires_at);
CREATE INDEX ceremonies_by_holder ON ceremonies (kind, holder, expires_at);
