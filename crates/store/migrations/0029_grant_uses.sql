-- When grants were last used; the row without a grant says since when that is noted.
CREATE TABLE grant_uses (
  grant_id TEXT PRIMARY KEY,
  last_at BIGINT NOT NULL
);
