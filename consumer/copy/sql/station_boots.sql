-- What a station reports about itself when it starts; the newest by time of receipt.
INSERT INTO charge_station_status (charge_station_id, ocpp_version, vendor, model, serial_number,
    firmware_version, boot_reason, charge_box_serial_number, iccid, imsi, meter_type,
    meter_serial_number, booted_at, boot_digest)
SELECT DISTINCT ON (x.charge_station_id) x.charge_station_id, x.ocpp_version, x.vendor, x.model,
    x.serial_number, x.firmware_version, x.boot_reason, x.charge_box_serial_number, x.iccid,
    x.imsi, x.meter_type, x.meter_serial_number, x.event_time, x.digest
FROM {unnest:station_boots}
ORDER BY x.charge_station_id, x.event_time DESC, x.digest DESC
ON CONFLICT (charge_station_id) DO UPDATE
SET ocpp_version = excluded.ocpp_version,
    vendor = excluded.vendor,
    model = excluded.model,
    serial_number = excluded.serial_number,
    firmware_version = excluded.firmware_version,
    boot_reason = excluded.boot_reason,
    charge_box_serial_number = excluded.charge_box_serial_number,
    iccid = excluded.iccid,
    imsi = excluded.imsi,
    meter_type = excluded.meter_type,
    meter_serial_number = excluded.meter_serial_number,
    booted_at = excluded.booted_at,
    boot_digest = excluded.boot_digest,
    updated_at = now()
WHERE charge_station_status.booted_at IS NULL
   OR (excluded.booted_at, excluded.boot_digest)
    > (charge_station_status.booted_at, charge_station_status.boot_digest)
