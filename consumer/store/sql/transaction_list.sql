-- A page of the transactions of all stations, those that started last first.
-- The meter values of the page come with it, in the same statement.
SELECT a.charge_station_id, a.transaction_id, a.id_token, a.id_token_type, a.started_at,
    a.stopped_at, a.stopped_reason, a.meter_start::text AS meter_start,
    a.meter_stop::text AS meter_stop,
    a.seq_no_start, a.seq_no_stop, a.offline, a.total_cost::text AS total_cost, a.list_time,
    a.start_key,
    CASE WHEN $7::boolean THEN (
        SELECT jsonb_agg(v.value ORDER BY v.event_time, v.value)
        FROM (
            SELECT m.event_time, m.meter_value AS value
            FROM meter_values_json m
            WHERE m.charge_station_id = a.charge_station_id
              AND m.transaction_id = a.transaction_id
              AND m.event_time >= coalesce(w.not_before, a.list_time - interval '1 day')
              AND m.event_time <= coalesce(w.not_after,
                CASE WHEN a.stopped_at IS NULL THEN 'infinity'
                ELSE coalesce(a.last_event_at, a.stopped_at) END + interval '1 day')
              AND (a.start_key = '' OR m.evse_id IN (w.evse_id, -1))
            UNION ALL
            SELECT s.event_time, jsonb_build_object(
                'timestamp', to_char(s.event_time AT TIME ZONE 'UTC',
                    'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                'sampledValue', s.sampled_value)
            FROM store_transaction_values s
            WHERE s.charge_station_id = a.charge_station_id
              AND s.transaction_id = a.transaction_id
              AND (a.start_key = '' OR s.event_time BETWEEN w.not_before AND w.not_after)
        ) v) END AS meter_values
FROM (
    SELECT t.*
    FROM all_transactions t
    WHERE ($1::text IS NULL OR t.charge_station_id = $1::text)
      AND t.list_time <= coalesce($2::timestamptz, 'infinity')
      AND (t.list_time < coalesce($2::timestamptz, 'infinity')
        OR (t.charge_station_id, t.transaction_id, t.start_key)
            > (coalesce($3::text, ''), coalesce($4::text, ''), coalesce($5::text, '')))
    ORDER BY t.list_time DESC, t.charge_station_id, t.transaction_id, t.start_key
    LIMIT $6::integer
) a
LEFT JOIN LATERAL (
    -- The times of one of several sessions of an id, as in transaction_values().
    SELECT t.evse_id, coalesce(t.first_event_at, t.partition_time) AS not_before,
        least(CASE WHEN isfinite(t.stopped_at)
            THEN greatest(t.stopped_at, t.last_event_at) + interval '1 hour'
            ELSE coalesce(t.last_event_at, t.partition_time) + interval '31 days' END,
            (SELECT min(n.begins_at) - interval '1 microsecond'
            FROM transaction_keys k
            JOIN transaction_keys n ON n.charge_station_id = k.charge_station_id
                AND n.transaction_id = k.transaction_id AND n.start_key <> ''
                AND n.begins_at > k.begins_at
            JOIN transactions o ON o.charge_station_id = n.charge_station_id
                AND o.partition_time = n.partition_time AND o.transaction_id = n.transaction_id
                AND o.start_key = n.start_key AND o.evse_id = t.evse_id
            WHERE k.charge_station_id = t.charge_station_id
              AND k.transaction_id = t.transaction_id
              AND k.start_key = t.start_key)) AS not_after
    FROM transactions t
    WHERE a.start_key <> ''
      AND t.charge_station_id = a.charge_station_id AND t.partition_time = a.list_time
      AND t.transaction_id = a.transaction_id AND t.start_key = a.start_key
) w ON $7::boolean
ORDER BY a.list_time DESC, a.charge_station_id, a.transaction_id, a.start_key
