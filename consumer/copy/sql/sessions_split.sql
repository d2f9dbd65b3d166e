-- Ids with several starts have no row of their own: each of their sessions has one. An id may turn
-- out to have one start after all, which depends only on its events, not on the order in which they
-- came. start_key comes from x as in transactions_move.sql.
UPDATE transaction_keys k
SET split = x.split, partition_time = NULL, begins_at = NULL, fresh = false
FROM (
    SELECT x.*, ''::text AS start_key
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::boolean[])
        AS x (charge_station_id, transaction_id, since, split)
    OFFSET 0) x
WHERE k.charge_station_id = x.charge_station_id
  AND k.transaction_id = x.transaction_id
  AND k.start_key = x.start_key
