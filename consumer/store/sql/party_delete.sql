-- What is left is the key and the time, so that an older set does not bring it back.
INSERT INTO ocpi_parties AS t (
    role, country_code, party_id, url, token, last_updated, deleted)
SELECT
    $1::text, $2::text, $3::text, '', '',
    coalesce($4::timestamptz, (
        SELECT greatest(now(), k.last_updated) FROM ocpi_parties k
        WHERE k.role = $1::text AND k.country_code = $2::text AND k.party_id = $3::text), now()),
    true
ON CONFLICT (role, country_code, party_id) DO UPDATE
SET
    url = excluded.url, token = excluded.token, last_updated = excluded.last_updated,
    deleted = true, flags = NULL, updated_at = now()
WHERE excluded.last_updated >= t.last_updated
