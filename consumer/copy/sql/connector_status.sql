-- The newest by the station's own time; of two with the same time, the one with the higher digest.
INSERT INTO connector_status ({columns:connector_status}, updated_at)
SELECT DISTINCT ON (x.charge_station_id, x.evse_id, x.connector_id) {x_columns:connector_status}, now()
FROM {unnest:connector_status}
ORDER BY x.charge_station_id, x.evse_id, x.connector_id, x.event_time DESC, x.digest DESC,
    x.received_at
ON CONFLICT (charge_station_id, evse_id, connector_id) DO UPDATE
SET {excluded:connector_status}, updated_at = excluded.updated_at
WHERE (excluded.event_time, excluded.digest)
    > (connector_status.event_time, connector_status.digest)
