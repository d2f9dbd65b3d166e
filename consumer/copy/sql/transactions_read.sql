-- What is known of them so far; the numbers count from 0. A statement of its own, after the locks,
-- so that it sees what the workers it waited for have committed.
SELECT (x.n - 1)::integer, {text_columns:transactions}
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS x (charge_station_id, transaction_id, n)
JOIN transaction_keys k ON k.charge_station_id = x.charge_station_id
    AND k.transaction_id = x.transaction_id
JOIN transactions t ON t.charge_station_id = k.charge_station_id
    AND t.partition_time = k.partition_time
    AND t.transaction_id = k.transaction_id
