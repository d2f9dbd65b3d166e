-- A page of them, in the order of their keys.
SELECT
    charge_station_id, security_profile, base64_sha256_password, invalid_username_allowed,
    last_updated
FROM charge_stations
WHERE NOT deleted AND charge_station_id > coalesce($1::text, '')
ORDER BY charge_station_id
LIMIT $2::integer
