-- Is the worker with client id $1 connected here? backend_start as well: process ids repeat. It is hidden
-- from other roles, and then the database has to do. And is its progress so new that it may only be
-- between two connections?
SELECT
    EXISTS (
        SELECT FROM ingest_progress p
        JOIN pg_catalog.pg_stat_activity a ON a.pid = p.backend_pid
            AND coalesce(a.backend_start = p.backend_start, a.datname = current_database())
        WHERE p.client_id = $1),
    EXISTS (
        SELECT FROM ingest_progress p
        WHERE p.client_id = $1 AND p.updated_at > now() - interval '1 minute')
