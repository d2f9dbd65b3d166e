INSERT INTO transaction_keys AS k (charge_station_id, transaction_id, start_key, partition_time,
    begins_at, fresh)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[],
    $6::boolean[]) AS x (charge_station_id, transaction_id, start_key, partition_time, begins_at, fresh)
ORDER BY x.charge_station_id, x.transaction_id, x.start_key
ON CONFLICT (charge_station_id, transaction_id, start_key) DO UPDATE
SET partition_time = excluded.partition_time,
    begins_at = excluded.begins_at,
    fresh = excluded.fresh
