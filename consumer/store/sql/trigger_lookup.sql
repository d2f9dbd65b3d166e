-- One of them.
SELECT
    charge_station_id, message_type, status, connector_id, send_after, last_updated
FROM charge_station_triggers
WHERE charge_station_id = $1::text AND NOT deleted
