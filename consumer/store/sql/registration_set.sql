-- OCPI registrations: of two for one key the one said last counts, whichever comes first.
-- Without a time of its own it is newer than what is there.
INSERT INTO ocpi_registrations AS t (
    token, status, last_updated)
SELECT DISTINCT ON (x.token)
    x.token, x.status, x.said
FROM (
    SELECT x.*, coalesce(x.last_updated, (
        SELECT greatest(now(), k.last_updated + interval '1 microsecond')
        FROM ocpi_registrations k
        WHERE k.token = x.token), now())
        AS said
    FROM unnest(
        $1::text[], $2::text[], $3::timestamptz[]) 
    WITH ORDINALITY AS x (
        token, status, last_updated, n)
) x
ORDER BY x.token, x.said DESC, x.n DESC
ON CONFLICT (token) DO UPDATE
SET
    status = excluded.status, last_updated = excluded.last_updated, deleted = false,
    flags = NULL, updated_at = now()
WHERE excluded.last_updated > t.last_updated
   OR (excluded.last_updated = t.last_updated AND NOT t.deleted)
