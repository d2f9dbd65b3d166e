-- The certificates of a page of stations, in the order of the stations, newest first.
SELECT
    charge_station_id, certificate_id, certificate_type, certificate, status, send_after,
    last_updated
FROM charge_station_certificates
WHERE NOT deleted AND charge_station_id IN (
    SELECT DISTINCT p.charge_station_id
    FROM charge_station_certificates p
    WHERE NOT p.deleted AND p.charge_station_id > coalesce($1::text, '')
    ORDER BY p.charge_station_id LIMIT $2::integer)
ORDER BY charge_station_id, last_updated DESC, certificate_id
