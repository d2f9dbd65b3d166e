-- What is left is the key and the time, so that an older set does not bring it back.
INSERT INTO locations AS t (
    id, country_code, party_id, location, last_updated, deleted)
SELECT
    $1::text, '', '', '{}',
    coalesce($2::timestamptz, (
        SELECT greatest(now(), k.last_updated) FROM locations k
        WHERE k.id = $1::text), now()),
    true
ON CONFLICT (id) DO UPDATE
SET
    country_code = excluded.country_code, party_id = excluded.party_id,
    location = excluded.location, last_updated = excluded.last_updated, deleted = true,
    flags = NULL, updated_at = now()
WHERE excluded.last_updated >= t.last_updated
