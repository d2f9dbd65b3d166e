-- What is odd about meter values, by the transaction that they name. One of several copies is
-- enough.
INSERT INTO transaction_flags (charge_station_id, transaction_id, event_time, evse_id, flags)
SELECT DISTINCT x.charge_station_id, x.transaction_id, x.event_time, x.evse_id, x.flags
FROM {unnest:reported_flags}
ORDER BY x.charge_station_id, x.transaction_id, x.event_time, x.evse_id, x.flags
ON CONFLICT DO NOTHING
