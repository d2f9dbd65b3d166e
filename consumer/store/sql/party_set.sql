-- OCPI parties: of two for one key the one said last counts, whichever comes first.
-- Without a time of its own it is newer than what is there.
INSERT INTO ocpi_parties AS t (
    role, country_code, party_id, url, token, last_updated)
SELECT DISTINCT ON (x.role, x.country_code, x.party_id)
    x.role, x.country_code, x.party_id, x.url, x.token, x.said
FROM (
    SELECT x.*, coalesce(x.last_updated, (
        SELECT greatest(now(), k.last_updated + interval '1 microsecond')
        FROM ocpi_parties k
        WHERE k.role = x.role
            AND k.country_code = x.country_code AND k.party_id = x.party_id), now())
        AS said
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[]) 
    WITH ORDINALITY AS x (
        role, country_code, party_id, url, token, last_updated, n)
) x
ORDER BY x.role, x.country_code, x.party_id, x.said DESC, x.n DESC
ON CONFLICT (role, country_code, party_id) DO UPDATE
SET
    url = excluded.url, token = excluded.token, last_updated = excluded.last_updated,
    deleted = false, flags = NULL, updated_at = now()
WHERE excluded.last_updated > t.last_updated
   OR (excluded.last_updated = t.last_updated AND NOT t.deleted)
