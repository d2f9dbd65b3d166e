-- More meter values have been stored: also of a transaction that was not reported before.
INSERT INTO store_transactions AS t (charge_station_id, transaction_id)
SELECT x.charge_station_id, x.transaction_id
FROM (VALUES ($1::text, $2::text, $3::text, $4::text, $5::timestamptz, $6::text, $7::text,
    $8::integer, $9::boolean, $10::text)) x (
        charge_station_id, transaction_id, id_token, id_token_type, at,
        reason, meter, seq_no, offline, total_cost)
ON CONFLICT (charge_station_id, transaction_id) DO UPDATE
SET updated_at = now()
