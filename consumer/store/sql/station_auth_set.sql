-- How stations log in: of two for one key the one said last counts, whichever comes first.
-- Without a time of its own it is newer than what is there.
INSERT INTO charge_stations AS t (
    charge_station_id, security_profile, base64_sha256_password, invalid_username_allowed,
    last_updated)
SELECT DISTINCT ON (x.charge_station_id)
    x.charge_station_id, x.security_profile, nullif(x.base64_sha256_password, ''),
    x.invalid_username_allowed, x.said
FROM (
    SELECT x.*, coalesce(x.last_updated, (
        SELECT greatest(now(), k.last_updated + interval '1 microsecond')
        FROM charge_stations k
        WHERE k.charge_station_id = x.charge_station_id), now())
        AS said
    FROM unnest(
        $1::text[], $2::integer[], $3::text[], $4::boolean[], $5::timestamptz[]) 
    WITH ORDINALITY AS x (
        charge_station_id, security_profile, base64_sha256_password, invalid_username_allowed,
        last_updated, n)
) x
ORDER BY x.charge_station_id, x.said DESC, x.n DESC
ON CONFLICT (charge_station_id) DO UPDATE
SET
    security_profile = excluded.security_profile,
    base64_sha256_password = excluded.base64_sha256_password,
    invalid_username_allowed = excluded.invalid_username_allowed,
    last_updated = excluded.last_updated, deleted = false, flags = NULL, updated_at = now()
WHERE excluded.last_updated > t.last_updated
   OR (excluded.last_updated = t.last_updated AND NOT t.deleted)
