-- One of them.
SELECT
    charge_station_id, security_profile, base64_sha256_password, invalid_username_allowed,
    last_updated
FROM charge_stations
WHERE charge_station_id = $1::text AND NOT deleted
