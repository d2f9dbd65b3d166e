-- Certificates: of two for one key the one said last counts, whichever comes first.
-- Without a time of its own it is newer than what is there.
INSERT INTO certificates AS t (
    certificate_hash, certificate_type, pem, last_updated)
SELECT DISTINCT ON (x.certificate_hash)
    x.certificate_hash, coalesce(x.certificate_type, 'PEM'), x.pem, x.said
FROM (
    SELECT x.*, coalesce(x.last_updated, (
        SELECT greatest(now(), k.last_updated + interval '1 microsecond')
        FROM certificates k
        WHERE k.certificate_hash = x.certificate_hash), now())
        AS said
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::timestamptz[]) 
    WITH ORDINALITY AS x (
        certificate_hash, certificate_type, pem, last_updated, n)
) x
ORDER BY x.certificate_hash, x.said DESC, x.n DESC
ON CONFLICT (certificate_hash) DO UPDATE
SET
    certificate_type = excluded.certificate_type, pem = excluded.pem,
    last_updated = excluded.last_updated, deleted = false, flags = NULL, updated_at = now()
WHERE excluded.last_updated > t.last_updated
   OR (excluded.last_updated = t.last_updated AND NOT t.deleted)
