CREATE OR REPLACE FUNCTION newest_readings(station text)
RETURNS TABLE (evse_id integer, connector_id integer, measurand text, phase text, location text,
    value numeric, unit text, value_text text, event_time timestamptz, received_at timestamptz,
    transaction_id text, context text)
LANGUAGE sql STABLE ROWS 10 SET jit = off AS $$
    SELECT DISTINCT ON (m.evse_id, m.connector_id, m.measurand, m.phase, m.location)
        m.evse_id, m.connector_id, m.measurand, m.phase, m.location, m.value, m.unit, m.value_text,
        m.event_time, m.received_at, m.transaction_id, m.context
    FROM (
        -- A station sends a few sets of samples over and over: the newest of each has the newest values.
        SELECT DISTINCT ON (v.evse_id, v.connector_id, v.layout_id, v.self_described)
            v.event_time, v.evse_id, v.digest
        FROM (
            SELECT v.event_time, v.evse_id, v.digest, v.connector_id, v.layout_id,
                CASE WHEN v.layout_id = 0 THEN v.digest END AS self_described
            FROM meter_values v
            WHERE v.charge_station_id = station
              AND v.event_time > now() - interval '1 day' AND v.event_time < now() + interval '1 day'
            ORDER BY v.event_time DESC
            LIMIT 50
        ) v
        ORDER BY v.evse_id, v.connector_id, v.layout_id, v.self_described, v.event_time DESC, v.digest
    ) n
    CROSS JOIN LATERAL (
        SELECT x.*
        FROM meter_samples x
        WHERE x.charge_station_id = station AND x.event_time = n.event_time
          AND x.evse_id = n.evse_id AND x.digest = n.digest
          -- So that other partitions are not even opened.
          AND x.event_time > now() - interval '1 day' AND x.event_time < now() + interval '1 day'
        OFFSET 0 -- never joined other than by the key
    ) m
    ORDER BY m.evse_id, m.connector_id, m.measurand, m.phase, m.location, m.event_time DESC,
        m.position, m.digest
$$;
SELECT bind_function('newest_readings(text)'::regprocedure, true);
COMMENT ON COLUMN latest_readings.evse_id IS 'EVSE (2.x) or connector (1.6); 0 = the whole station, -1 = not stated';
