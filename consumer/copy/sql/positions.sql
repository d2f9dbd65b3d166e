-- How far the WAL is written, and how far it is on disk: a batch whose commit lies before the second can
-- be released.
SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::text,
    (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::text
