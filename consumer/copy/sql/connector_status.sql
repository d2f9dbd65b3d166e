-- The newest by the station's own time. Many stations send whole seconds: of two with the same time,
-- the one that was received last, and of two received together the one with the higher digest. Of
-- copies of a message the last receipt counts, so that the order in which they are merged does not.
INSERT INTO connector_status ({columns:connector_status}, updated_at)
SELECT DISTINCT ON (x.charge_station_id, x.evse_id, x.connector_id) {x_columns:connector_status}, now()
FROM {unnest:connector_status}
ORDER BY x.charge_station_id, x.evse_id, x.connector_id, x.event_time DESC, x.received_at DESC,
    x.digest DESC
ON CONFLICT (charge_station_id, evse_id, connector_id) DO UPDATE
SET {excluded:connector_status}, updated_at = excluded.updated_at
WHERE (excluded.event_time, excluded.received_at, excluded.digest)
    > (connector_status.event_time, connector_status.received_at, connector_status.digest)
