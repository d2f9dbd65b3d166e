-- Meter values; the same ones reported again are there already.
INSERT INTO store_transaction_values (
    charge_station_id, transaction_id, event_time, digest, sampled_value)
SELECT x.charge_station_id, x.transaction_id, x.event_time,
    sha256(convert_to(x.sampled_value::text, 'UTF8')), x.sampled_value
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::jsonb[])
    AS x (charge_station_id, transaction_id, event_time, sampled_value)
ORDER BY 1, 2, 3, 4
ON CONFLICT DO NOTHING
