-- Sessions made anew. Those that are as they were keep their updated_at; those whose partition an
-- operator has dropped stay away.
INSERT INTO transactions AS t ({columns:transactions})
SELECT {x_columns:transactions} FROM {unnest:transactions}
WHERE has_partition('transactions', x.partition_time)
ORDER BY x.charge_station_id, x.transaction_id, x.start_key
ON CONFLICT (charge_station_id, partition_time, transaction_id, start_key) DO UPDATE
SET {excluded:transactions}, updated_at = now()
WHERE (t.flags, t.merge_state, t.first_event_at, t.last_event_at)
    IS DISTINCT FROM (excluded.flags, excluded.merge_state, excluded.first_event_at,
        excluded.last_event_at)
