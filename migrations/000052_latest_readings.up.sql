-- Values of a transaction whose event does not name its EVSE (2.x) are shown at that of the transaction;
-- before, the values of all EVSEs of a station were shown as one. Of two with the same time, the one
-- received last.

CREATE OR REPLACE FUNCTION newest_readings(station text)
RETURNS TABLE (evse_id integer, connector_id integer, measurand text, phase text, location text,
    value numeric, unit text, value_text text, event_time timestamptz, received_at timestamptz,
    transaction_id text, context text)
LANGUAGE sql STABLE ROWS 10 SET jit = off AS $$
    WITH newest AS MATERIALIZED (
        SELECT v.event_time, v.evse_id, v.digest, v.received_at, v.connector_id, v.layout_id,
            CASE WHEN v.layout_id = 0 THEN v.digest END AS self_described, v.transaction_id
        FROM meter_values v
        WHERE v.charge_station_id = station
          AND v.event_time > now() - interval '1 day' AND v.event_time < now() + interval '1 day'
        ORDER BY v.event_time DESC
        LIMIT 50
    ), placed AS MATERIALIZED (
        -- 2.x: an event of a transaction need not name EVSE and connector; its transaction does.
        SELECT n.transaction_id, t.evse_id, t.connector_id
        FROM (SELECT DISTINCT v.transaction_id FROM newest v
            WHERE v.transaction_id IS NOT NULL
              AND (v.evse_id = -1 OR v.evse_id > 0 AND v.connector_id IS NULL)) n
        CROSS JOIN LATERAL (
            SELECT t.evse_id, t.connector_id
            FROM transaction_keys k
            JOIN transactions t ON t.charge_station_id = k.charge_station_id
                AND t.transaction_id = k.transaction_id AND t.start_key = k.start_key
                AND t.partition_time = k.partition_time
            WHERE k.charge_station_id = station AND k.transaction_id = n.transaction_id
              AND t.evse_id >= 0
            ORDER BY k.begins_at DESC NULLS LAST
            LIMIT 1) t
    )
    SELECT DISTINCT ON (m.evse_id, m.connector_id, m.measurand, m.phase, m.location)
        m.evse_id, m.connector_id, m.measurand, m.phase, m.location, m.value, m.unit, m.value_text,
        m.event_time, m.received_at, m.transaction_id, m.context
    FROM (
        -- A station sends a few sets of samples over and over: the newest of each has the newest values.
        SELECT DISTINCT ON (o.evse_id, o.connector_id, v.layout_id, v.self_described)
            v.event_time, v.evse_id, v.digest, o.evse_id AS own_evse_id,
            o.connector_id AS own_connector_id
        FROM newest v
        LEFT JOIN placed p ON p.transaction_id = v.transaction_id
            AND v.evse_id IN (-1, p.evse_id)
        CROSS JOIN LATERAL (
            SELECT coalesce(p.evse_id, v.evse_id) AS evse_id,
                coalesce(v.connector_id, p.connector_id) AS connector_id
        ) o
        ORDER BY o.evse_id, o.connector_id, v.layout_id, v.self_described, v.event_time DESC,
            v.received_at DESC, v.digest
    ) n
    CROSS JOIN LATERAL (
        SELECT n.own_evse_id AS evse_id, n.own_connector_id AS connector_id, x.measurand, x.phase,
            x.location, x.value, x.unit, x.value_text, x.event_time, x.received_at,
            x.transaction_id, x.context, x.position, x.digest
        FROM meter_samples x
        WHERE x.charge_station_id = station AND x.event_time = n.event_time
          AND x.evse_id = n.evse_id AND x.digest = n.digest
          -- So that other partitions are not even opened.
          AND x.event_time > now() - interval '1 day' AND x.event_time < now() + interval '1 day'
        OFFSET 0 -- never joined other than by the key
    ) m
    ORDER BY m.evse_id, m.connector_id, m.measurand, m.phase, m.location, m.event_time DESC,
        m.received_at DESC, m.position, m.digest
$$;
SELECT bind_function('newest_readings(text)'::regprocedure, true);
COMMENT ON COLUMN latest_readings.evse_id IS 'EVSE (2.x) or connector (1.6), that of the transaction if the event does not name it; 0 = the whole station, -1 = not stated';
