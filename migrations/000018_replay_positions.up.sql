-- A replay goes on where one was interrupted that read the same messages, not where one was that had
-- the same name: what it has read is written down beside the number.

ALTER TABLE ingest_progress
    ADD COLUMN content bytea,
    ADD COLUMN begins bytea,
    ADD COLUMN asked bytea,
    ADD COLUMN sources text;
COMMENT ON COLUMN ingest_progress.content IS 'Of a replay: SHA-256 of the messages up to seq, moved on with it. A replay goes on behind seq only if its own messages up to there have the same';
COMMENT ON COLUMN ingest_progress.begins IS 'Of a replay: the same of its first message';
COMMENT ON COLUMN ingest_progress.asked IS 'Of a replay: SHA-256 of its filters and of the settings that decide what becomes of a message. NULL: no replay, but a log';
COMMENT ON COLUMN ingest_progress.sources IS 'Of a replay: its files as they were given, for people. The row is removed when all is stored; those of replays that did not end go after 30 days, or when there are more than 100';

-- Positions of interrupted replays that were kept under names. Their identities are of version 8.
DELETE FROM ingest_progress
WHERE client_id = 'replay' AND substr(spool::text, 15, 1) = '8';
