-- Locations: of two for one key the one said last counts, whichever comes first.
-- Without a time of its own it is newer than what is there.
INSERT INTO locations AS t (
    id, country_code, party_id, location, last_updated)
SELECT DISTINCT ON (x.id)
    x.id, coalesce(x.country_code, x.location ->> 'Country', 'XX'), coalesce(x.party_id, 'XXX'),
    x.location, x.said
FROM (
    SELECT x.*, coalesce(x.last_updated, (
        SELECT greatest(now(), k.last_updated + interval '1 microsecond')
        FROM locations k
        WHERE k.id = x.id), now())
        AS said
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::jsonb[], $5::timestamptz[]) 
    WITH ORDINALITY AS x (
        id, country_code, party_id, location, last_updated, n)
) x
ORDER BY x.id, x.said DESC, x.n DESC
ON CONFLICT (id) DO UPDATE
SET
    country_code = excluded.country_code, party_id = excluded.party_id,
    location = excluded.location, last_updated = excluded.last_updated, deleted = false,
    flags = NULL, updated_at = now()
WHERE excluded.last_updated > t.last_updated
   OR (excluded.last_updated = t.last_updated AND NOT t.deleted)
