-- The certificates of one station, newest first.
SELECT
    charge_station_id, certificate_id, certificate_type, certificate, status, send_after,
    last_updated
FROM charge_station_certificates
WHERE charge_station_id = $1::text AND NOT deleted
ORDER BY last_updated DESC, certificate_id
