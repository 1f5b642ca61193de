-- Which account a person has here who is known to a provider of identities.
CREATE TABLE oidc_subjects (
  issuer TEXT NOT NULL,
  subject TEXT NOT NULL,
  account TEXT NOT NULL UNIQUE REFERENCES accounts (name),
  PRIMARY KEY (issuer, subject)
) WITHOUT ROWID;
