CREATE OR REPLACE VIEW transaction_sources AS
SELECT transaction_name(k.transaction_id) AS id, true AS numbered, true AS reported,
    t.charge_station_id, t.transaction_id, t.partition_time, t.id_token,
    'ISO14443' AS id_token_type, t.started_at, t.stopped_at, t.stopped_reason, t.meter_start,
    t.meter_stop, 0 AS updates, t.offline, t.total_cost, t.first_event_at, t.last_event_at,
    t.updated_at
FROM ocpp.transaction_keys k
JOIN ocpp.transactions t ON t.charge_station_id = k.charge_station_id
    AND t.transaction_id = k.transaction_id AND t.partition_time = k.partition_time
WHERE t.ocpp_version = '1.6'
UNION ALL
SELECT k.transaction_id, false, true,
    t.charge_station_id, t.transaction_id, t.partition_time, t.id_token, t.id_token_type,
    t.started_at, t.stopped_at, t.stopped_reason, t.meter_start, t.meter_stop,
    t.seq_no_stop - t.seq_no_start, t.offline, t.total_cost, t.first_event_at, t.last_event_at,
    t.updated_at
FROM ocpp.transaction_keys k
JOIN ocpp.transactions t ON t.charge_station_id = k.charge_station_id
    AND t.transaction_id = k.transaction_id AND t.partition_time = k.partition_time
WHERE t.ocpp_version IS DISTINCT FROM '1.6'
UNION ALL
SELECT transaction_name(s.transaction_id), false, false,
    s.charge_station_id, s.transaction_id, s.started_at, s.id_token, s.id_token_type,
    s.started_at, s.stopped_at, s.stopped_reason, s.meter_start, s.meter_stop,
    s.seq_no_stop - coalesce(s.seq_no_start, 0), s.offline, s.total_cost, s.created_at,
    s.updated_at, s.updated_at
FROM ocpp.store_transactions s
WHERE NOT EXISTS (
    SELECT FROM ocpp.transaction_keys k
    WHERE k.charge_station_id = s.charge_station_id
      AND k.transaction_id IN (s.transaction_id, transaction_number(s.transaction_id)));
