-- Topics on which devices seal what they say for its readers.
ALTER TABLE grants ADD COLUMN sealed BIGINT NOT NULL DEFAULT 0;
