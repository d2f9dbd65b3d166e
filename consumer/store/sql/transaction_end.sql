-- The end of a transaction; its meter values have been stored before. The first end that is
-- reported counts. A transaction without a reported start is made: the start may come later, or
-- never.
INSERT INTO store_transactions AS t (
    charge_station_id, transaction_id, stopped_at, stopped_reason, meter_stop, seq_no_stop)
SELECT x.charge_station_id, x.transaction_id,
    coalesce(x.at, (SELECT v.event_time FROM store_transaction_values v
        WHERE v.charge_station_id = x.charge_station_id AND v.transaction_id = x.transaction_id
        ORDER BY v.event_time DESC LIMIT 1), now()),
    x.reason,
    coalesce(x.meter::numeric,
        (SELECT energy_register(v.sampled_value) FROM store_transaction_values v
        WHERE v.charge_station_id = x.charge_station_id AND v.transaction_id = x.transaction_id
        ORDER BY v.event_time DESC LIMIT 1)),
    x.seq_no
FROM (VALUES ($1::text, $2::text, $3::text, $4::text, $5::timestamptz, $6::text, $7::text,
    $8::integer, $9::boolean, $10::text)) x (
        charge_station_id, transaction_id, id_token, id_token_type, at,
        reason, meter, seq_no, offline, total_cost)
ON CONFLICT (charge_station_id, transaction_id) DO UPDATE
SET stopped_at = coalesce(t.stopped_at, excluded.stopped_at),
    stopped_reason = coalesce(t.stopped_reason, excluded.stopped_reason),
    meter_stop = coalesce(t.meter_stop, excluded.meter_stop),
    seq_no_stop = coalesce(t.seq_no_stop, excluded.seq_no_stop),
    updated_at = now()
