-- One of them: set through the store or reported by the station, whichever is newer.
SELECT
    charge_station_id, ocpp_version, vendor, model, serial_number, firmware_version,
    last_updated
FROM all_runtime
WHERE charge_station_id = $1::text
