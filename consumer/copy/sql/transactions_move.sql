-- Where the rows are now. start_key comes from x, so that the only way is by the whole key: a join
-- over all keys without one could compare each with each.
UPDATE transaction_keys k
SET partition_time = x.partition_time
FROM (
    SELECT x.*, ''::text AS start_key
    FROM unnest($1::text[], $2::text[], $3::timestamptz[])
        AS x (charge_station_id, transaction_id, partition_time)
    OFFSET 0) x
WHERE k.charge_station_id = x.charge_station_id
  AND k.transaction_id = x.transaction_id
  AND k.start_key = x.start_key
  AND k.partition_time IS DISTINCT FROM x.partition_time
