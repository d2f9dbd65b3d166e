-- From here on this process feeds the log into this database. A log that is new here begins before
-- its oldest record. The row says how far the log is stored. A claim advances seq and counted_seq
-- together, so a seq ahead of counted_seq was set by hand: nobody claimed what lies between, and
-- seq goes back to counted_seq. If seq is lower, seq counts, and the counts mean nothing. A row
-- without counted_seq was created by hand: the log is treated as new here, unless this process ($8)
-- has claimed records itself and so knows where it was.
INSERT INTO ingest_progress AS p (spool, seq, owner, backend_pid, backend_start, client_id,
    counted_seq, records, digest, digest_from, log_records, log_digest)
SELECT $1::text::uuid, $2::bigint, $3::text::uuid, a.pid, a.backend_start, $4::text,
    $2::bigint, $5::bigint, $6::bigint, $7::bigint, $5::bigint, $6::bigint
FROM pg_stat_activity a
WHERE a.pid = pg_backend_pid()
ON CONFLICT (spool) DO UPDATE
SET owner = excluded.owner,
    seq = CASE WHEN p.counted_seq IS NULL AND p.asked IS NULL AND NOT $8::boolean THEN excluded.seq
        WHEN p.counted_seq < p.seq THEN p.counted_seq ELSE p.seq END,
    backend_pid = excluded.backend_pid,
    backend_start = excluded.backend_start,
    client_id = excluded.client_id,
    counted_seq = CASE WHEN p.counted_seq IS NULL
            AND (p.seq = excluded.seq OR (p.asked IS NULL AND NOT $8::boolean))
        THEN excluded.counted_seq ELSE p.counted_seq END,
    records = CASE WHEN p.counted_seq IS NULL
            AND (p.seq = excluded.seq OR (p.asked IS NULL AND NOT $8::boolean))
        THEN excluded.records ELSE p.records END,
    digest = CASE WHEN p.counted_seq IS NULL
            AND (p.seq = excluded.seq OR (p.asked IS NULL AND NOT $8::boolean))
        THEN excluded.digest ELSE p.digest END,
    digest_from = CASE WHEN p.counted_seq IS NULL
            AND (p.seq = excluded.seq OR (p.asked IS NULL AND NOT $8::boolean))
        THEN excluded.digest_from ELSE p.digest_from END,
    log_records = CASE WHEN p.counted_seq IS NULL
            AND (p.seq = excluded.seq OR (p.asked IS NULL AND NOT $8::boolean))
        THEN excluded.log_records ELSE p.log_records END,
    log_digest = CASE WHEN p.counted_seq IS NULL
            AND (p.seq = excluded.seq OR (p.asked IS NULL AND NOT $8::boolean))
        THEN excluded.log_digest ELSE p.log_digest END
RETURNING p.seq, p.received, p.stored, p.duplicate, p.dead_lettered, p.skipped,
    (SELECT coalesce(string_agg(r.key || '=' || r.value, E'\n'), '') FROM jsonb_each_text(p.reasons) r),
    CASE WHEN p.counted_seq = p.seq THEN p.records END,
    CASE WHEN p.counted_seq = p.seq THEN p.digest END,
    CASE WHEN p.counted_seq = p.seq THEN p.digest_from END,
    CASE WHEN p.counted_seq = p.seq THEN p.segment_begun_us END,
    (SELECT o.seq FROM ingest_progress o WHERE o.spool = p.spool), -- as it was
    p.forgotten
