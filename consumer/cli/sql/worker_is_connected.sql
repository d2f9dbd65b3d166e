-- Is the worker with client id $1 connected here? backend_start as well: process ids repeat. It is hidden
-- from other roles, and then the database has to do. And when did it last say how far it is? NULL: no worker
-- of that id was ever connected.
SELECT
    EXISTS (
        SELECT FROM ingest_progress p
        JOIN pg_catalog.pg_stat_activity a ON a.pid = p.backend_pid
            AND coalesce(a.backend_start = p.backend_start, a.datname = current_database())
        WHERE p.client_id = $1),
    (SELECT to_char(max(p.updated_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')
        FROM ingest_progress p WHERE p.client_id = $1)
