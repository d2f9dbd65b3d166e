-- A page of them, in the order of their keys.
SELECT
    charge_station_id, ocpp_version, vendor, model, serial_number, firmware_version,
    last_updated
FROM charge_station_runtime
WHERE NOT deleted AND charge_station_id > coalesce($1::text, '')
ORDER BY charge_station_id
LIMIT $2::integer
