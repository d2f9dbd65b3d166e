-- Logs whose records, as the database has counted them batch by batch, are not those that the log has
-- counted itself; and those whose progress somebody has set past what was claimed (counted_seq).
SELECT spool, seq, log_records, records, log_records - records,
    CASE WHEN counted_seq < seq THEN counted_seq END
FROM ingest_progress
WHERE counted_seq < seq OR (counted_seq = seq AND (records <> log_records OR digest <> log_digest))
ORDER BY spool
