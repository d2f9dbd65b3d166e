-- Logs for which the database's count, kept batch by batch, differs from the log's own; and those
-- whose progress somebody has set past what was claimed (counted_seq), or created by hand (none).
SELECT spool, seq, log_records, records, log_records - records,
    CASE WHEN counted_seq < seq THEN counted_seq WHEN counted_seq IS NULL THEN 0 END
FROM ingest_progress
WHERE counted_seq < seq OR (counted_seq IS NULL AND asked IS NULL AND seq > 0)
    OR (counted_seq = seq AND (records <> log_records OR digest <> log_digest))
ORDER BY spool
