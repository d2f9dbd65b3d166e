-- Where the WAL is, and up to where it is on disk: a batch whose commit lies before the second can be
-- let go of.
SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::text,
    (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::text
