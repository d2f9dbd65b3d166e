-- Authorize calls whose result turned out to belong to another call with the same message id. In
-- the order of their keys, as in authorize.sql, so that two workers never deadlock.
UPDATE authorizations a
SET status = NULL,
    group_id_token = NULL,
    expiry_date = NULL,
    result_received_at = NULL,
    result_rank = NULL,
    result_digest = NULL
FROM (
    SELECT x.* FROM {unnest:exchange_pairs}
    ORDER BY x.charge_station_id, x.event_time, x.evse_id, x.digest
    OFFSET 0) x
WHERE a.charge_station_id = x.charge_station_id
  AND a.event_time = x.event_time
  AND a.evse_id = x.evse_id
  AND a.digest = x.digest
  AND a.result_received_at = x.received_at
  AND a.result_digest = x.result_digest
