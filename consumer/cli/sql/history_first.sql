-- The next piece of a station's history from $2 to $3: its first message, and the end of that day.
-- One key lookup per table. $1 is the station.
SELECT min(f.at), least(date_trunc('day', min(f.at)) + interval '1 day', $3::timestamptz)
FROM (
    SELECT min(event_time) AS at FROM ocpp_events
    WHERE charge_station_id = $1 AND event_time >= $2::timestamptz AND event_time < $3
    UNION ALL
    SELECT min(event_time) FROM transaction_events
    WHERE charge_station_id = $1 AND event_time >= $2 AND event_time < $3
    UNION ALL
    SELECT min(event_time) FROM authorizations
    WHERE charge_station_id = $1 AND event_time >= $2 AND event_time < $3
    UNION ALL
    SELECT min(event_time) FROM meter_values
    WHERE charge_station_id = $1 AND event_time >= $2 AND event_time < $3
    -- Without a valid time of their own.
    UNION ALL
    SELECT min(received_at) FROM ocpp_events
    WHERE charge_station_id = $1 AND event_time = '-infinity'
      AND received_at >= $2 AND received_at < $3
    UNION ALL
    SELECT min(received_at) FROM transaction_events
    WHERE charge_station_id = $1 AND event_time = '-infinity'
      AND received_at >= $2 AND received_at < $3
    UNION ALL
    SELECT min(received_at) FROM meter_values
    WHERE charge_station_id = $1 AND event_time = '-infinity'
      AND received_at >= $2 AND received_at < $3
) f
HAVING min(f.at) IS NOT NULL
