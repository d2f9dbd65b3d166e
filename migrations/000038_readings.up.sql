-- What people ask first: which station has gone silent, what a meter shows now, where its readings stop.

-- What a station sends by itself is in the tables of states; only for those that are silent there do we
-- look for other messages. Each lookup is by the key of one station.
CREATE FUNCTION silent_stations(silence interval DEFAULT '1 hour')
RETURNS TABLE (charge_station_id text, last_heard_at timestamptz, silent_for interval)
LANGUAGE sql STABLE ROWS 100 SET jit = off AS $$
    SELECT k.charge_station_id, k.at, now() - k.at
    FROM (
        SELECT s.charge_station_id, max(s.at) AS at
        FROM (
            SELECT c.charge_station_id, greatest(c.booted_at, c.last_heartbeat_at) AS at
            FROM charge_station_status c
            UNION ALL
            SELECT c.charge_station_id, c.received_at FROM connector_status c
            UNION ALL
            SELECT o.charge_station_id, o.received_at FROM operation_status o
        ) s
        GROUP BY s.charge_station_id
    ) k
    LEFT JOIN LATERAL (
        SELECT true AS found FROM meter_values v
        WHERE v.charge_station_id = k.charge_station_id
          AND v.event_time > now() - silence - interval '1 day' AND v.received_at > now() - silence
        LIMIT 1) v ON true
    LEFT JOIN LATERAL (
        SELECT true AS found FROM transaction_events t
        WHERE t.charge_station_id = k.charge_station_id
          AND t.event_time > now() - silence - interval '1 day' AND t.received_at > now() - silence
        LIMIT 1) t ON v.found IS NULL
    LEFT JOIN LATERAL (
        SELECT true AS found FROM authorizations a
        WHERE a.charge_station_id = k.charge_station_id
          AND a.event_time > now() - silence
        LIMIT 1) a ON v.found IS NULL AND t.found IS NULL
    LEFT JOIN LATERAL (
        SELECT true AS found FROM ocpp_events e
        WHERE e.charge_station_id = k.charge_station_id AND e.direction = 'in'
          AND e.event_time > now() - silence - interval '1 day' AND e.received_at > now() - silence
        LIMIT 1) e ON v.found IS NULL AND t.found IS NULL AND a.found IS NULL
    WHERE k.at < now() - silence
      AND v.found IS NULL AND t.found IS NULL AND a.found IS NULL AND e.found IS NULL
$$;
COMMENT ON FUNCTION silent_stations IS 'Stations from which nothing was received for that long, of those that have a row in charge_station_status, connector_status or operation_status. last_heard_at is the newest time of receipt there; messages of other kinds may have come later. A message whose own time is more than a day before its receipt is not noticed.';
SELECT bind_function('silent_stations(interval)'::regprocedure, true);

-- From the newest rows of a station, which are at one end of its key, not from all of the day. Without
-- JIT: compiling would take a hundred times as long as reading the few rows of one station.
CREATE FUNCTION newest_readings(station text)
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
COMMENT ON FUNCTION newest_readings IS 'The rows of latest_readings for one station, whether it has a row in charge_station_status or not';
SELECT bind_function('newest_readings(text)'::regprocedure, true);

CREATE VIEW latest_readings AS
SELECT s.charge_station_id, m.evse_id, m.connector_id, m.measurand, m.phase, m.location, m.value, m.unit,
    m.value_text, m.event_time, m.received_at, m.transaction_id, m.context
FROM (
    SELECT c.charge_station_id FROM charge_station_status c
    UNION
    SELECT c.charge_station_id FROM connector_status c
) s
CROSS JOIN LATERAL newest_readings(s.charge_station_id) m;
COMMENT ON VIEW latest_readings IS 'The newest sample of each measurand, per station, EVSE, connector, phase and location, from the newest 50 meter values of the station within the last day. Only stations that have a row in charge_station_status or connector_status.';
SELECT grant_table('latest_readings');

-- The usual interval is that of the session itself: stations are set to anything from seconds to hours.
CREATE VIEW meter_gaps AS
SELECT t.charge_station_id, t.transaction_id, t.start_key, t.evse_id, t.connector_id,
    g.gap_from, g.gap_to, g.gap_to - g.gap_from AS gap, u.usual,
    t.partition_time
FROM transactions t
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT v.event_time ORDER BY v.event_time) AS times
    FROM meter_values v
    WHERE v.charge_station_id = t.charge_station_id
      AND v.event_time >= coalesce(t.started_at, t.first_event_at)
      AND v.event_time <= coalesce(t.stopped_at, t.last_event_at)
      AND isfinite(v.event_time)
      AND (v.transaction_id = t.transaction_id AND (t.start_key = '' OR v.evse_id IN (t.evse_id, -1))
          OR v.transaction_id IS NULL AND v.evse_id = t.evse_id AND t.evse_id > 0)
) r
CROSS JOIN LATERAL (
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY d.at - d.before) AS usual
    FROM (SELECT x.at, lag(x.at) OVER (ORDER BY x.at) AS before FROM unnest(r.times) AS x (at)) d
) u
CROSS JOIN LATERAL (
    SELECT d.before AS gap_from, d.at AS gap_to
    FROM (
        SELECT x.at, lag(x.at) OVER (ORDER BY x.at) AS before
        FROM (
            SELECT unnest(r.times) AS at
            UNION SELECT coalesce(t.started_at, t.first_event_at)
            UNION SELECT coalesce(t.stopped_at, t.last_event_at)
        ) x
        WHERE isfinite(x.at)
    ) d
) g
WHERE isfinite(coalesce(t.started_at, t.first_event_at))
  AND g.gap_to - g.gap_from > 2 * u.usual AND g.gap_to - g.gap_from > interval '1 minute';
COMMENT ON VIEW meter_gaps IS 'Where the meter values of a session stop for more than twice their usual interval and for more than a minute, including after its start and before its end. Sessions with fewer than two meter values have no usual interval and no gap. Filter by station or partition_time.';
SELECT grant_table('meter_gaps');

DO $$
DECLARE
    c record;
BEGIN
    -- They are read-only.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        REVOKE INSERT, UPDATE, DELETE ON latest_readings, meter_gaps FROM ocpp_writer;
    END IF;
    FOR c IN SELECT * FROM (VALUES
        ('latest_readings', 'charge_station_id', 'Charge station'),
        ('latest_readings', 'evse_id', 'EVSE (2.x) or connector (1.6); 0 = the whole station, -1 = not stated'),
        ('latest_readings', 'connector_id', 'Connector, where stated'),
        ('latest_readings', 'measurand', 'What was measured; Energy.Active.Import.Register where not stated; NULL = not known'),
        ('latest_readings', 'phase', 'L1, L1-N, ...; NULL = all phases together'),
        ('latest_readings', 'location', 'Outlet, Inlet, EV, ...; Outlet where not stated'),
        ('latest_readings', 'value', 'In unit; NULL = not a number'),
        ('latest_readings', 'unit', 'What value is in: Wh, W, A, V, ..., without kilo or milli'),
        ('latest_readings', 'value_text', 'The value as sent, in the unit as sent'),
        ('latest_readings', 'event_time', 'When it was measured, by the station''s clock'),
        ('latest_readings', 'received_at', 'When it was received from the broker'),
        ('latest_readings', 'transaction_id', 'OCPP transaction id, where stated'),
        ('latest_readings', 'context', 'Sample.Periodic, Transaction.End, ...; Sample.Periodic where not stated'),
        ('meter_gaps', 'charge_station_id', 'Charge station'),
        ('meter_gaps', 'transaction_id', 'The transaction''s id, as in sessions'),
        ('meter_gaps', 'start_key', 'As in sessions'),
        ('meter_gaps', 'evse_id', 'EVSE (2.x) or connector (1.6) of the session'),
        ('meter_gaps', 'connector_id', 'Connector, where stated'),
        ('meter_gaps', 'gap_from', 'The last meter value before the gap, or the start of the session'),
        ('meter_gaps', 'gap_to', 'The first meter value after it, or the end of the session (its last event, while it has no end)'),
        ('meter_gaps', 'gap', 'gap_to - gap_from'),
        ('meter_gaps', 'usual', 'The median interval between two meter values of the session'),
        ('meter_gaps', 'partition_time', 'As in sessions; a filter by it reads only the months it names')
    ) v (view_name, column_name, text) LOOP
        EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', c.view_name, c.column_name, c.text);
    END LOOP;
END $$;
