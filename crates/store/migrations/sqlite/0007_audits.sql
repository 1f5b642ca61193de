-- An event's JSON begins with its id ({"id":"<26 characters>"): what a finding names is found by it.
CREATE INDEX outbox_by_event ON outbox (SUBSTR(body, 8, 26));
