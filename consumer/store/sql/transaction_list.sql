-- A page of the transactions of all stations, those that started last first.
-- The meter values of the page come with it, in the same statement.
SELECT a.charge_station_id, a.transaction_id, a.id_token, a.id_token_type, a.started_at,
    a.stopped_at, a.stopped_reason, a.meter_start::text AS meter_start,
    a.meter_stop::text AS meter_stop,
    a.seq_no_start, a.seq_no_stop, a.offline, a.total_cost::text AS total_cost, a.list_time,
    CASE WHEN $6::boolean THEN (
        SELECT jsonb_agg(v.value ORDER BY v.event_time, v.value)
        FROM (
            SELECT m.event_time, m.meter_value AS value
            FROM meter_values_json m
            WHERE m.charge_station_id = a.charge_station_id
              AND m.transaction_id = a.transaction_id
              AND m.event_time >= a.list_time - interval '1 day'
              AND m.event_time <= CASE WHEN a.stopped_at IS NULL THEN 'infinity'
                ELSE coalesce(a.last_event_at, a.stopped_at) END + interval '1 day'
            UNION ALL
            SELECT s.event_time, jsonb_build_object(
                'timestamp', to_char(s.event_time AT TIME ZONE 'UTC',
                    'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                'sampledValue', s.sampled_value)
            FROM store_transaction_values s
            WHERE s.charge_station_id = a.charge_station_id
              AND s.transaction_id = a.transaction_id
        ) v) END AS meter_values
FROM (
    SELECT t.*
    FROM all_transactions t
    WHERE ($1::text IS NULL OR t.charge_station_id = $1::text)
      AND t.list_time <= coalesce($2::timestamptz, 'infinity')
      AND (t.list_time < coalesce($2::timestamptz, 'infinity')
        OR (t.charge_station_id, t.transaction_id)
            > (coalesce($3::text, ''), coalesce($4::text, '')))
    ORDER BY t.list_time DESC, t.charge_station_id, t.transaction_id
    LIMIT $5::integer
) a
ORDER BY a.list_time DESC, a.charge_station_id, a.transaction_id
