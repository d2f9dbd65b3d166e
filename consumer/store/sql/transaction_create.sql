-- The start of a transaction; its meter values have been stored before. The first start that is
-- reported counts: a repeat changes nothing; one that comes after the end fills in what was
-- missing.
INSERT INTO store_transactions AS t (
    charge_station_id, transaction_id, id_token, id_token_type, started_at, meter_start,
    seq_no_start, offline)
SELECT x.charge_station_id, x.transaction_id, x.id_token, x.id_token_type,
    coalesce(x.at, (SELECT v.event_time FROM store_transaction_values v
        WHERE v.charge_station_id = x.charge_station_id AND v.transaction_id = x.transaction_id
        ORDER BY v.event_time LIMIT 1), now()),
    coalesce(x.meter::numeric,
        (SELECT energy_register(v.sampled_value) FROM store_transaction_values v
        WHERE v.charge_station_id = x.charge_station_id AND v.transaction_id = x.transaction_id
        ORDER BY v.event_time LIMIT 1)),
    x.seq_no, x.offline
FROM (VALUES ($1::text, $2::text, $3::text, $4::text, $5::timestamptz, $6::text, $7::text,
    $8::integer, $9::boolean, $10::text)) x (
        charge_station_id, transaction_id, id_token, id_token_type, at,
        reason, meter, seq_no, offline, total_cost)
ON CONFLICT (charge_station_id, transaction_id) DO UPDATE
SET id_token = coalesce(t.id_token, excluded.id_token),
    id_token_type = coalesce(t.id_token_type, excluded.id_token_type),
    started_at = coalesce(t.started_at, excluded.started_at),
    meter_start = coalesce(t.meter_start, excluded.meter_start),
    seq_no_start = coalesce(t.seq_no_start, excluded.seq_no_start),
    offline = coalesce(t.offline, excluded.offline),
    updated_at = now()
