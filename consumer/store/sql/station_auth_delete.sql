-- What is left is the key and the time, so that an older set does not bring it back.
INSERT INTO charge_stations AS t (
    charge_station_id, security_profile, invalid_username_allowed, last_updated, deleted)
SELECT
    $1::text, 0, false,
    coalesce($2::timestamptz, (
        SELECT greatest(now(), k.last_updated) FROM charge_stations k
        WHERE k.charge_station_id = $1::text), now()),
    true
ON CONFLICT (charge_station_id) DO UPDATE
SET
    security_profile = excluded.security_profile,
    base64_sha256_password = excluded.base64_sha256_password,
    invalid_username_allowed = excluded.invalid_username_allowed,
    last_updated = excluded.last_updated, deleted = true, flags = NULL, updated_at = now()
WHERE excluded.last_updated >= t.last_updated
