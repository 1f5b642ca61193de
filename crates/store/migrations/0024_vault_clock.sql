-- What time it was when the vault looked last, and since when it does not believe the clock. One row.
CREATE TABLE vault_clock (
  id BIGINT PRIMARY KEY,
  seen_at BIGINT NOT NULL,
  jumped_at BIGINT
);
