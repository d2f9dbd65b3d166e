-- How far a log is stored here, and what was counted.
SELECT seq, CASE WHEN counted_seq = seq THEN records END,
    CASE WHEN counted_seq = seq THEN digest END, CASE WHEN counted_seq = seq THEN digest_from END
FROM ingest_progress
WHERE spool = $1::uuid
