-- From here on this process feeds the log into this database. A log that is new here begins before
-- its oldest record. The row tells how far the log is stored.
INSERT INTO ingest_progress AS p (spool, seq, owner, backend_pid, backend_start, client_id)
SELECT $1::text::uuid, $2::bigint, $3::text::uuid, a.pid, a.backend_start, $4::text
FROM pg_stat_activity a
WHERE a.pid = pg_backend_pid()
ON CONFLICT (spool) DO UPDATE
SET owner = excluded.owner,
    backend_pid = excluded.backend_pid,
    backend_start = excluded.backend_start,
    client_id = excluded.client_id
RETURNING p.seq, p.received, p.stored, p.duplicate, p.dead_lettered, p.skipped,
    (SELECT coalesce(string_agg(r.key || '=' || r.value, E'\n'), '') FROM jsonb_each_text(p.reasons) r)
