-- Sessions that began in [$1, $2), of station $3 (NULL = all), one row for each signed reading of
-- each, in order; if $4, also those without any. With the key that the settings of the station have.
SELECT
    s.charge_station_id, s.transaction_id, s.start_key, s.partition_time, s.evse_id,
    date_trunc('second', s.started_at) AS started_shown, to_json(s.started_at) #>> '{}' AS started_at,
    CASE WHEN isfinite(s.started_at) THEN (extract(epoch FROM s.started_at) * 1000000)::bigint END
        AS began_us,
    CASE WHEN isfinite(s.stopped_at) THEN (extract(epoch FROM s.stopped_at) * 1000000)::bigint END
        AS ended_us,
    s.stopped_at IS NOT NULL AS over, s.energy_wh, r.signed, r.context, r.register_as_sent, k.key
FROM sessions s
CROSS JOIN LATERAL session_times(s.charge_station_id, s.evse_id, s.started_at, s.first_event_at,
    s.stopped_at, s.last_event_at, s.partition_time) t
LEFT JOIN LATERAL signed_readings_of(s.charge_station_id, s.transaction_id, s.start_key, s.evse_id,
    t.since, t.until) r ON true
LEFT JOIN LATERAL public_key_of(s.charge_station_id, s.evse_id) AS k (key) ON r.signed IS NOT NULL
WHERE ($1::timestamptz IS NULL OR s.partition_time >= $1)
  AND ($2::timestamptz IS NULL OR s.partition_time < $2)
  AND ($3::text IS NULL OR s.charge_station_id = $3)
  AND ($4::boolean OR r.signed IS NOT NULL)
ORDER BY s.partition_time, s.charge_station_id, s.transaction_id, s.start_key, r.event_time,
    r.received_at, r.digest, r.position
