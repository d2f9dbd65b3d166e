-- Sessions that were rebuilt and no longer exist, or have moved ($6 on: those that exist now).
-- Rows of events that stood for themselves go with their keys (removed).
WITH asked AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::boolean[],
        $5::boolean[]) AS x (charge_station_id, transaction_id, since, split, removed)
), gone AS MATERIALIZED (
    SELECT k.charge_station_id, k.transaction_id, k.start_key, k.partition_time,
        k.start_key <> '' OR a.removed AS removed
    FROM asked a
    CROSS JOIN LATERAL (
        SELECT k.* FROM transaction_keys k
        WHERE k.charge_station_id = a.charge_station_id AND k.transaction_id = a.transaction_id
          AND k.start_key = ''
      UNION ALL
        SELECT k.* FROM transaction_keys k
        WHERE k.charge_station_id = a.charge_station_id AND k.transaction_id = a.transaction_id
          AND k.begins_at >= a.since AND k.start_key <> ''
        OFFSET 0) k
    -- Written so that the planner uses a hash and does not compare each with each.
    WHERE k.partition_time IS NOT NULL
      AND (k.charge_station_id, k.transaction_id, k.start_key, k.partition_time) NOT IN (
        SELECT * FROM unnest($6::text[], $7::text[], $8::text[], $9::timestamptz[]))
), keys AS (
    DELETE FROM transaction_keys k USING gone g
    WHERE g.removed AND k.charge_station_id = g.charge_station_id
      AND k.transaction_id = g.transaction_id AND k.start_key = g.start_key
)
DELETE FROM transactions t USING gone g
WHERE t.charge_station_id = g.charge_station_id AND t.partition_time = g.partition_time
  AND t.transaction_id = g.transaction_id AND t.start_key = g.start_key
