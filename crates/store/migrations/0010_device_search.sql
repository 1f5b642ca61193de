-- Ids of devices by their trigrams, so that a part of an id is found among millions without reading them all.
-- On PostgreSQL a view of the same name stands in its place, over an index of pg_trgm.
CREATE VIRTUAL TABLE device_search USING fts5(id, tokenize = 'trigram', columnsize = 0);
INSERT INTO device_search (id) SELECT id FROM devices;
CREATE TRIGGER devices_are_searched AFTER INSERT ON devices BEGIN
  INSERT INTO device_search (id) VALUES (new.id);
END;
