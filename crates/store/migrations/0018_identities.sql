-- By whom providers (OpenID Connect) say that accounts' people are. `is_made`: the account came to be by it, and has its
-- roles from there.
CREATE TABLE account_identities (
  issuer TEXT NOT NULL,
  subject TEXT NOT NULL,
  account TEXT NOT NULL REFERENCES accounts (name),
  provider TEXT NOT NULL,
  is_made BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  last_used_at BIGINT,
  PRIMARY KEY (issuer, subject)
) WITHOUT ROWID;
CREATE UNIQUE INDEX account_identities_by_account ON account_identities (account, issuer);
