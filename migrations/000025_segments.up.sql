-- Which run of a program wrote the record that was claimed last: a copy of a log that went its own way
-- may end with as many records.

ALTER TABLE ingest_progress ADD COLUMN segment_begun_us bigint;
COMMENT ON COLUMN ingest_progress.segment_begun_us IS 'When the segment of the log with record seq was begun, by its header, microseconds since 1970. NULL where it is not known';
