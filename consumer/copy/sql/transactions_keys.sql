-- Keys that do not exist yet. DO UPDATE, because DO NOTHING would not wait for another worker that
-- is creating the same one. (LIMIT makes it an index lookup for each.)
INSERT INTO transaction_keys (charge_station_id, transaction_id, partition_time)
SELECT x.charge_station_id, x.transaction_id, x.partition_time
FROM unnest($1::text[], $2::text[], $3::timestamptz[])
    AS x (charge_station_id, transaction_id, partition_time)
WHERE (
    SELECT true
    FROM transaction_keys k
    WHERE k.charge_station_id = x.charge_station_id AND k.transaction_id = x.transaction_id
      AND k.start_key = ''
    LIMIT 1) IS NULL
ORDER BY x.charge_station_id, x.transaction_id
ON CONFLICT (charge_station_id, transaction_id, start_key) DO UPDATE
SET partition_time = transaction_keys.partition_time
