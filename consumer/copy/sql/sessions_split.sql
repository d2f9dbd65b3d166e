-- Their ids have several sessions now, and no row of their own. start_key comes from x as in
-- transactions_move.sql.
UPDATE transaction_keys k
SET split = true, partition_time = NULL, begins_at = NULL, fresh = false
FROM (
    SELECT x.*, ''::text AS start_key
    FROM unnest($1::text[], $2::text[]) AS x (charge_station_id, transaction_id)
    OFFSET 0) x
WHERE k.charge_station_id = x.charge_station_id
  AND k.transaction_id = x.transaction_id
  AND k.start_key = x.start_key
