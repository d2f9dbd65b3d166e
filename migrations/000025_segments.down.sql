ALTER TABLE ingest_progress DROP COLUMN segment_begun_us;
