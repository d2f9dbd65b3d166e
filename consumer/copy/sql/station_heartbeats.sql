-- When each station was last heard from.
INSERT INTO charge_station_status (charge_station_id, last_heartbeat_at)
SELECT x.charge_station_id, max(x.event_time)
FROM {unnest:station_heartbeats}
GROUP BY x.charge_station_id
ORDER BY x.charge_station_id
ON CONFLICT (charge_station_id) DO UPDATE
SET last_heartbeat_at = excluded.last_heartbeat_at, updated_at = now()
WHERE charge_station_status.last_heartbeat_at IS NULL
   OR excluded.last_heartbeat_at > charge_station_status.last_heartbeat_at
