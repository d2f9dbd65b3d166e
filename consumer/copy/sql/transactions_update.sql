-- Merged rows of existing transactions. A row whose start became known late moves to its partition
-- by itself; the lock on its key keeps others away. The whole key comes from x, as in
-- transactions_move.sql. start_key is a column of it, and empty except in the last of several sessions
-- with one id.
UPDATE transactions t
SET {set:transactions}, updated_at = now()
FROM (
    SELECT x.*, ({next:transactions}::timestamptz[])[x.n] AS old_partition_time
    FROM {unnest:transactions}
    OFFSET 0) x
WHERE t.charge_station_id = x.charge_station_id
  AND t.partition_time = x.old_partition_time
  AND t.transaction_id = x.transaction_id
  AND t.start_key = x.start_key
