-- What it costs so far.
INSERT INTO store_transactions AS t (charge_station_id, transaction_id, total_cost)
SELECT x.charge_station_id, x.transaction_id, x.total_cost::numeric
FROM (VALUES ($1::text, $2::text, $3::text, $4::text, $5::timestamptz, $6::text, $7::text,
    $8::integer, $9::boolean, $10::text)) x (
        charge_station_id, transaction_id, id_token, id_token_type, at,
        reason, meter, seq_no, offline, total_cost)
ON CONFLICT (charge_station_id, transaction_id) DO UPDATE
SET total_cost = excluded.total_cost, updated_at = now()
