-- Where the rows are now.
UPDATE transaction_keys k
SET partition_time = x.partition_time
FROM unnest($1::text[], $2::text[], $3::timestamptz[])
    AS x (charge_station_id, transaction_id, partition_time)
WHERE k.charge_station_id = x.charge_station_id
  AND k.transaction_id = x.transaction_id
  AND k.start_key = ''
  AND k.partition_time IS DISTINCT FROM x.partition_time
