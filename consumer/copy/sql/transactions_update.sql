-- Merged rows of transactions that were there. A row whose start became known late moves to its
-- partition by itself; the lock on its key keeps others away from it.
UPDATE transactions t
SET {set:transactions}, updated_at = now()
FROM {unnest:transactions}
JOIN unnest({next:transactions}::timestamptz[]) WITH ORDINALITY AS old (partition_time, n) USING (n)
WHERE t.charge_station_id = x.charge_station_id
  AND t.partition_time = old.partition_time
  AND t.transaction_id = x.transaction_id
  AND t.start_key = ''
