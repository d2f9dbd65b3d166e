-- Logs whose records, as the database has counted them batch by batch, are not those that the log has
-- counted itself.
SELECT spool, seq, log_records, records, log_records - records
FROM ingest_progress
WHERE counted_seq = seq AND (records <> log_records OR digest <> log_digest)
ORDER BY spool
