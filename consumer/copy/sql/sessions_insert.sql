-- Rebuilt sessions. Unchanged ones keep their updated_at; those whose partition an operator has
-- dropped are left out. Whether it exists is queried once per day, not for each session; IS TRUE
-- keeps the planner from turning that into a join.
WITH made AS MATERIALIZED (
    SELECT x.* FROM {unnest:transactions}
), days AS (
    SELECT DISTINCT date_trunc('day', x.partition_time, 'UTC') AS day FROM made x
)
INSERT INTO transactions AS t ({columns:transactions})
SELECT {x_columns:transactions} FROM made x
WHERE (date_trunc('day', x.partition_time, 'UTC') IN (
    SELECT d.day FROM days d WHERE has_partition('transactions', d.day))) IS TRUE
ORDER BY x.charge_station_id, x.transaction_id, x.start_key
ON CONFLICT (charge_station_id, partition_time, transaction_id, start_key) DO UPDATE
SET {excluded:transactions}, updated_at = now()
WHERE (t.flags, t.merge_state, t.first_event_at, t.last_event_at)
    IS DISTINCT FROM (excluded.flags, excluded.merge_state, excluded.first_event_at,
        excluded.last_event_at)
