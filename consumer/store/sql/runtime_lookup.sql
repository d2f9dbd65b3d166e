-- One of them.
SELECT
    charge_station_id, ocpp_version, vendor, model, serial_number, firmware_version,
    last_updated
FROM charge_station_runtime
WHERE charge_station_id = $1::text AND NOT deleted
