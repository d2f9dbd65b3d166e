-- Is the worker with client id $1 connected here? backend_start as well: process ids repeat.
SELECT EXISTS (
    SELECT FROM ingest_progress p
    JOIN pg_catalog.pg_stat_activity a ON a.pid = p.backend_pid AND a.backend_start = p.backend_start
    WHERE p.client_id = $1)
