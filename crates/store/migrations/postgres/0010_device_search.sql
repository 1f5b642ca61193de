-- Trigrams come with PostgreSQL's own contributed modules. Where they may not be used, looking for a part of an id is
-- slower, and right all the same.
DO $$ BEGIN
  CREATE EXTENSION IF NOT EXISTS pg_trgm;
  CREATE INDEX devices_by_part ON devices USING gin (lower(id) gin_trgm_ops);
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN
  RAISE NOTICE 'pg_trgm may not be used here: %', SQLERRM;
END $$;
