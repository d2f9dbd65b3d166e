-- What a station is: as it was told through the store, or as the station said itself when it
-- booted, whichever is newer.

CREATE VIEW all_runtime AS
SELECT r.charge_station_id, r.ocpp_version, r.vendor, r.model, r.serial_number, r.firmware_version,
    r.last_updated
FROM charge_station_runtime r
WHERE NOT r.deleted AND NOT EXISTS (
    SELECT FROM charge_station_status s
    WHERE s.charge_station_id = r.charge_station_id AND s.ocpp_version IS NOT NULL
      AND s.booted_at > r.last_updated)
UNION ALL
SELECT s.charge_station_id, s.ocpp_version, s.vendor, s.model, s.serial_number,
    s.firmware_version, s.booted_at
FROM charge_station_status s
WHERE s.ocpp_version IS NOT NULL AND s.booted_at IS NOT NULL AND NOT EXISTS (
    SELECT FROM charge_station_runtime r
    WHERE r.charge_station_id = s.charge_station_id AND r.last_updated >= s.booted_at);
COMMENT ON VIEW all_runtime IS 'What stations are, from what was told through the store and from their BootNotifications: the newest of each. A delete through the store hides what was said before it.';
SELECT grant_table('all_runtime');
