-- When what an account is was last changed: what was given lately is not unused. Of those that are there nothing is known.
CREATE TABLE account_role_changes (account TEXT PRIMARY KEY, at BIGINT NOT NULL);
INSERT INTO account_role_changes
  SELECT name, CAST(strftime('%s', 'now') AS BIGINT) * 1000000000 FROM accounts;
-- From which networks somebody came, whatever else came from elsewhere in the same hour.
CREATE TABLE access_places (
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  network TEXT NOT NULL,
  first_at BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  PRIMARY KEY (kind, subject, network)
);
