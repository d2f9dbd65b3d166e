-- Starts whose result turned out to belong to another call with the same message id. In the order
-- of their keys, as in lost_authorize.sql.
DELETE FROM transaction_starts s
USING (
    SELECT x.* FROM {unnest:exchange_pairs}
    ORDER BY x.charge_station_id, x.event_time, x.evse_id, x.digest
    OFFSET 0) x
WHERE s.charge_station_id = x.charge_station_id
  AND s.event_time = x.event_time
  AND s.evse_id = x.evse_id
  AND s.digest = x.digest
  AND s.transaction_id = x.transaction_id
  AND s.result_received_at = x.received_at
