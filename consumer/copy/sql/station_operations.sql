-- The newest by time of receipt, the only time there is; of two with the same time, the one with
-- the higher digest.
INSERT INTO operation_status (charge_station_id, operation, status, request_id, received_at, digest)
SELECT DISTINCT ON (x.charge_station_id, x.operation)
    x.charge_station_id, x.operation, x.status, x.request_id, x.event_time, x.digest
FROM {unnest:station_operations}
ORDER BY x.charge_station_id, x.operation, x.event_time DESC, x.digest DESC
ON CONFLICT (charge_station_id, operation) DO UPDATE
SET status = excluded.status,
    request_id = excluded.request_id,
    received_at = excluded.received_at,
    digest = excluded.digest,
    updated_at = now()
WHERE (excluded.received_at, excluded.digest)
    > (operation_status.received_at, operation_status.digest)
