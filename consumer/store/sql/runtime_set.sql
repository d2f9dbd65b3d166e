-- What stations are: of two for one key the one said last counts, whichever comes first.
-- Without a time of its own it is newer than what is there.
INSERT INTO charge_station_runtime AS t (
    charge_station_id, ocpp_version, vendor, model, serial_number, firmware_version,
    last_updated)
SELECT DISTINCT ON (x.charge_station_id)
    x.charge_station_id, x.ocpp_version, x.vendor, x.model, x.serial_number, x.firmware_version,
    x.said
FROM (
    SELECT x.*, coalesce(x.last_updated, (
        SELECT greatest(now(), k.last_updated + interval '1 microsecond')
        FROM charge_station_runtime k
        WHERE k.charge_station_id = x.charge_station_id), now())
        AS said
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
        $7::timestamptz[]) 
    WITH ORDINALITY AS x (
        charge_station_id, ocpp_version, vendor, model, serial_number, firmware_version,
        last_updated, n)
) x
ORDER BY x.charge_station_id, x.said DESC, x.n DESC
ON CONFLICT (charge_station_id) DO UPDATE
SET
    ocpp_version = excluded.ocpp_version, vendor = excluded.vendor, model = excluded.model,
    serial_number = excluded.serial_number, firmware_version = excluded.firmware_version,
    last_updated = excluded.last_updated, deleted = false, flags = NULL, updated_at = now()
WHERE excluded.last_updated > t.last_updated
   OR (excluded.last_updated = t.last_updated AND NOT t.deleted)
