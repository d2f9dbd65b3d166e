ALTER TABLE ingest_progress DROP COLUMN forgotten;
DROP TABLE forgotten_tokens;
DROP TABLE forgotten_salt;
