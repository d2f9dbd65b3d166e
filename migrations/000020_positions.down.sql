ALTER TABLE ingest_progress
    DROP COLUMN counted_seq,
    DROP COLUMN records,
    DROP COLUMN digest,
    DROP COLUMN digest_from,
    DROP COLUMN log_records,
    DROP COLUMN log_digest;
