-- A page of them, in the order of their keys: set through the store or reported by the station.
SELECT
    charge_station_id, ocpp_version, vendor, model, serial_number, firmware_version,
    last_updated
FROM all_runtime
WHERE charge_station_id > coalesce($1::text, '')
ORDER BY charge_station_id
LIMIT $2::integer
