-- The browser that a log-in session is used from: the SHA-256 of what its first request said of it.
ALTER TABLE account_sessions ADD COLUMN browser TEXT;
