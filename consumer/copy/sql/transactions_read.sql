-- What is known about them so far; numbers count from 0. A separate statement, after the locks, so
-- that it sees what the workers it waited for have committed. Costs and flags may exist before
-- their transaction. Of a reused id, whose sessions are read in sessions_read.sql: its only session,
-- or the last one and when it began, if no other was open then. OFFSET 0: each by its key.
SELECT (x.n - 1)::integer, k.split, l.begins_at, c.total_cost::text, c.received_at, c.digest,
    f.flags, {text_columns:transactions}
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS x (charge_station_id, transaction_id, n)
CROSS JOIN LATERAL (
    SELECT k.* FROM transaction_keys k
    WHERE k.charge_station_id = x.charge_station_id AND k.transaction_id = x.transaction_id
      AND k.start_key = ''
    OFFSET 0) k
LEFT JOIN LATERAL (
    SELECT l.* FROM (
        SELECT l.start_key, l.partition_time, l.begins_at, l.fresh FROM transaction_keys l
        WHERE k.split AND l.charge_station_id = x.charge_station_id
          AND l.transaction_id = x.transaction_id AND l.begins_at IS NOT NULL
        ORDER BY l.begins_at DESC
        LIMIT 1) l
    WHERE l.fresh) l ON true
LEFT JOIN LATERAL (
    SELECT t.* FROM transactions t
    WHERE t.charge_station_id = x.charge_station_id
      AND t.partition_time = coalesce(l.partition_time, k.partition_time)
      AND t.transaction_id = x.transaction_id AND t.start_key = coalesce(l.start_key, '')
    OFFSET 0) t ON true
LEFT JOIN LATERAL (
    SELECT w.total_cost, w.received_at, w.digest
    FROM transaction_costs w
    WHERE t.merge_state IS NULL AND w.charge_station_id = k.charge_station_id
      AND w.transaction_id = k.transaction_id
    ORDER BY w.received_at DESC, w.digest DESC
    LIMIT 1) c ON true
LEFT JOIN LATERAL (
    SELECT bit_or(w.flags) AS flags
    FROM transaction_flags w
    WHERE t.merge_state IS NULL AND NOT k.split AND w.charge_station_id = k.charge_station_id
      AND w.transaction_id = k.transaction_id) f ON true
