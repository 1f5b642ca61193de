-- What is old is found without reading all.
CREATE INDEX cases_closed ON cases (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX findings_by_age ON findings (last_seen);
