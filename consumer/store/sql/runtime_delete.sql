-- What is left is the key and the time, so that an older set does not bring it back.
INSERT INTO charge_station_runtime AS t (
    charge_station_id, ocpp_version, last_updated, deleted)
SELECT
    $1::text, '',
    coalesce($2::timestamptz, (
        SELECT greatest(now(), k.last_updated) FROM charge_station_runtime k
        WHERE k.charge_station_id = $1::text), now()),
    true
ON CONFLICT (charge_station_id) DO UPDATE
SET
    ocpp_version = excluded.ocpp_version, vendor = excluded.vendor, model = excluded.model,
    serial_number = excluded.serial_number, firmware_version = excluded.firmware_version,
    last_updated = excluded.last_updated, deleted = true, flags = NULL, updated_at = now()
WHERE excluded.last_updated >= t.last_updated
