-- Without their content the positions of replays say nothing.
DELETE FROM ingest_progress WHERE asked IS NOT NULL;

ALTER TABLE ingest_progress
    DROP COLUMN content,
    DROP COLUMN begins,
    DROP COLUMN asked,
    DROP COLUMN sources;
