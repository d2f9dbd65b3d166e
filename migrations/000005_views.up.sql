-- For reading. No view may fail on any row, whatever a station sent: what cannot be computed is
-- NULL, and the text as sent is beside it.

CREATE FUNCTION unit_name(unit text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE unit
        WHEN 'kWh' THEN 'Wh' WHEN 'MWh' THEN 'Wh'
        WHEN 'kvarh' THEN 'varh' WHEN 'kVAh' THEN 'VAh'
        WHEN 'kW' THEN 'W' WHEN 'MW' THEN 'W'
        WHEN 'kVA' THEN 'VA' WHEN 'kvar' THEN 'var'
        WHEN 'mA' THEN 'A' WHEN 'kA' THEN 'A'
        WHEN 'mV' THEN 'V' WHEN 'kV' THEN 'V'
        WHEN 'Celcius' THEN 'Celsius' -- the spelling of OCPP 1.6's own schema
        ELSE unit END
$$;
COMMENT ON FUNCTION unit_name IS 'The unit that values are normalised to';

CREATE FUNCTION unit_factor(unit text) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN unit IN ('kWh', 'kvarh', 'kVAh', 'kW', 'kVA', 'kvar', 'kA', 'kV') THEN 1000
        WHEN unit IN ('MWh', 'MW') THEN 1000000
        WHEN unit IN ('mA', 'mV') THEN 0.001
        ELSE 1 END
$$;
COMMENT ON FUNCTION unit_factor IS 'What a value in this unit is multiplied with to be in unit_name()';

-- The factor comes as an argument: a function that called unit_factor() by its bare name would fail
-- for whoever reads the view without our schema in search_path.
CREATE FUNCTION normalised(value numeric, factor numeric, multiplier integer) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN value NOT BETWEEN -1e60 AND 1e60 THEN NULL
        WHEN multiplier IS NULL OR multiplier = 0 THEN value * factor
        WHEN multiplier BETWEEN -15 AND 15
            THEN value * factor * ('1e' || multiplier)::numeric
        END
$$;
COMMENT ON FUNCTION normalised IS 'A value in unit_name(), factor being unit_factor() of its unit; NULL where the multiplier is beyond +-15 or the value beyond 1e60';

CREATE VIEW meter_samples AS
SELECT
    v.charge_station_id,
    v.event_time,
    v.evse_id,
    v.connector_id,
    v.transaction_id,
    CASE v.source WHEN 'M' THEN 'MeterValues' WHEN 'E' THEN 'TransactionEvent'
        WHEN 'S' THEN 'StopTransaction' END AS source,
    s.position,
    m.measurand,
    s.phase,
    coalesce(s.context, 'Sample.Periodic') AS context,
    coalesce(s.location, 'Outlet') AS location,
    normalised(s.value, unit_factor(u.unit), s.multiplier) AS value,
    unit_name(u.unit) AS unit,
    coalesce(v.raw #>> ARRAY['text', s.position::text], s.value::text) AS value_text,
    s.unit AS stated_unit,
    s.multiplier AS stated_multiplier,
    v.received_at,
    v.flags,
    v.digest
FROM meter_values v
LEFT JOIN meter_value_layouts l ON l.layout_id = v.layout_id
CROSS JOIN LATERAL (
    SELECT p.position::integer, p.value, p.measurand, p.phase, p.context, p.location, p.unit,
        p.multiplier
    FROM unnest(v.sampled, l.measurand, l.phase, l.context, l.location, l.unit, l.multiplier)
        WITH ORDINALITY AS p (value, measurand, phase, context, location, unit, multiplier, position)
    WHERE v.layout_id <> 0
    UNION ALL
    SELECT p.position::integer, v.sampled[p.position], p.sample ->> 'measurand',
        p.sample ->> 'phase', p.sample ->> 'context', p.sample ->> 'location',
        coalesce(p.sample #>> '{unitOfMeasure,unit}', p.sample ->> 'unit'),
        CASE WHEN p.sample #>> '{unitOfMeasure,multiplier}' ~ '^-?[0-9]{1,5}$'
            THEN (p.sample #>> '{unitOfMeasure,multiplier}')::integer END
    FROM jsonb_array_elements(CASE WHEN v.layout_id = 0
            AND jsonb_typeof(v.raw -> 'samples') = 'array' THEN v.raw -> 'samples' END)
        WITH ORDINALITY AS p (sample, position)
) s
CROSS JOIN LATERAL (
    -- Of a row whose layout is missing nobody knows what it measured: no default for it.
    SELECT CASE WHEN v.layout_id = 0 OR l.layout_id IS NOT NULL
        THEN coalesce(s.measurand, 'Energy.Active.Import.Register') END AS measurand
) m
CROSS JOIN LATERAL (
    SELECT coalesce(s.unit, CASE WHEN m.measurand LIKE 'Energy%' THEN 'Wh' END) AS unit
) u;
COMMENT ON VIEW meter_samples IS 'One row per sampled value, OCPP''s defaults filled in, value normalised to unit; value_text, stated_unit and stated_multiplier are as sent';

CREATE VIEW meter_values_json AS
SELECT
    v.charge_station_id,
    v.event_time,
    v.evse_id,
    v.connector_id,
    v.transaction_id,
    jsonb_strip_nulls(jsonb_build_object(
        'timestamp', coalesce(v.time_text,
            to_char(v.event_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
        'sampledValue', CASE WHEN v.layout_id = 0 THEN v.raw -> 'samples' ELSE (
            SELECT jsonb_agg(jsonb_build_object(
                'value', coalesce(v.raw #> ARRAY['text', p.position::text], to_jsonb(p.value)),
                'context', p.context,
                'measurand', p.measurand,
                'phase', p.phase,
                'location', p.location,
                'unitOfMeasure', CASE WHEN p.unit IS NOT NULL OR p.multiplier IS NOT NULL
                    THEN jsonb_build_object('unit', p.unit, 'multiplier', p.multiplier) END,
                'format', p.format,
                'signedMeterValue', v.raw #> ARRAY['signed', p.position::text]
            ) ORDER BY p.position)
            FROM unnest(v.sampled, l.measurand, l.phase, l.context, l.location, l.unit,
                l.multiplier, l.format) WITH ORDINALITY
                AS p (value, measurand, phase, context, location, unit, multiplier, format, position)
        ) END)) AS meter_value,
    v.received_at,
    v.digest
FROM meter_values v
LEFT JOIN meter_value_layouts l ON l.layout_id = v.layout_id;
COMMENT ON VIEW meter_values_json IS 'One row per MeterValue in the shape of OCPP 2.x, without defaults filled in';

CREATE VIEW sessions AS
SELECT
    t.charge_station_id,
    t.transaction_id,
    t.ocpp_version,
    t.evse_id,
    t.connector_id,
    t.id_token,
    t.started_at,
    t.stopped_at,
    CASE WHEN isfinite(t.started_at) AND isfinite(t.stopped_at)
        THEN t.stopped_at - t.started_at END AS duration,
    t.meter_start,
    t.meter_stop,
    CASE WHEN t.meter_start BETWEEN -1e60 AND 1e60 AND t.meter_stop BETWEEN -1e60 AND 1e60
        THEN t.meter_stop - t.meter_start END AS energy_wh,
    CASE WHEN t.stopped_at IS NOT NULL THEN coalesce(t.stopped_reason, 'Local') END
        AS stopped_reason,
    t.charging_state,
    t.total_cost,
    cardinality(w.incomplete) = 0 AS complete,
    w.incomplete,
    flag_names(t.flags) AS flags,
    t.first_event_at,
    t.last_event_at,
    t.partition_time
FROM transactions t
CROSS JOIN LATERAL (
    SELECT array_remove(ARRAY[
        CASE WHEN t.started_at IS NULL THEN 'no start' END,
        CASE WHEN NOT isfinite(t.started_at) THEN 'time of start invalid' END,
        CASE WHEN t.stopped_at IS NULL THEN 'no end' END,
        CASE WHEN NOT isfinite(t.stopped_at) THEN 'time of end invalid' END,
        CASE WHEN t.meter_start IS NULL THEN 'no meter reading at start' END,
        CASE WHEN t.meter_stop IS NULL THEN 'no meter reading at end' END,
        CASE WHEN t.seq_no_missing > 0 THEN t.seq_no_missing || ' events missing' END
    ], NULL) AS incomplete
) w;
COMMENT ON VIEW sessions IS 'One row per transaction: who, where, when, how much, why it ended; incomplete says in words what is missing';

-- Everything that is asked about a session is asked with a range of time at its own station, so that
-- each question is a few index look-ups in one or two partitions; filter by station or
-- partition_time.
CREATE VIEW suspicious_sessions AS
SELECT
    t.charge_station_id,
    t.transaction_id,
    t.evse_id,
    t.connector_id,
    t.id_token,
    t.started_at,
    t.stopped_at,
    t.meter_start,
    t.meter_stop,
    r.reasons,
    t.first_event_at,
    t.last_event_at,
    t.partition_time
FROM transactions t
CROSS JOIN LATERAL (
    SELECT coalesce(t.stopped_at, t.last_event_at) AS over_at,
        least(coalesce(t.stopped_at, 'infinity'),
            coalesce(t.started_at, t.first_event_at) + interval '31 days') AS until
) e
LEFT JOIN LATERAL (
    SELECT o.transaction_id
    FROM transactions o
    WHERE o.charge_station_id = t.charge_station_id
      AND o.partition_time >= t.started_at - interval '31 days'
      AND o.partition_time < e.over_at
      AND o.evse_id = t.evse_id
      AND t.evse_id > 0
      AND o.transaction_id <> t.transaction_id
      AND o.started_at < e.over_at
      AND coalesce(o.stopped_at, o.last_event_at) > t.started_at
    ORDER BY o.transaction_id
    LIMIT 1
) overlap ON isfinite(t.started_at) AND isfinite(e.over_at)
LEFT JOIN LATERAL (
    SELECT k.transaction_id
    FROM transaction_starts s
    JOIN transaction_starts k USING (charge_station_id, event_time, evse_id, digest)
    JOIN transactions o ON o.charge_station_id = k.charge_station_id
        AND o.transaction_id = k.transaction_id
        AND o.partition_time = k.event_time
    WHERE s.charge_station_id = t.charge_station_id
      AND s.event_time = t.started_at
      AND s.transaction_id = t.transaction_id
      AND k.transaction_id <> s.transaction_id
      AND o.last_event_at > o.started_at
    LIMIT 1
) sibling ON t.stopped_at IS NULL AND t.last_event_at = t.started_at
LEFT JOIN LATERAL (
    SELECT true AS found
    FROM meter_values m
    WHERE m.charge_station_id = t.charge_station_id
      AND m.event_time > now() - interval '1 day'
      AND m.transaction_id = t.transaction_id
    LIMIT 1
) heard ON t.stopped_at IS NULL
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE b.value < b.before) AS count
    FROM (
        SELECT m.value, lag(m.value) OVER (
            PARTITION BY m.measurand, m.phase, m.location, m.unit
            ORDER BY m.event_time, m.value) AS before
        FROM meter_samples m
        WHERE m.charge_station_id = t.charge_station_id
          AND m.event_time >= coalesce(t.started_at, t.first_event_at)
          AND m.event_time <= e.until
          AND isfinite(m.event_time)
          AND (m.transaction_id = t.transaction_id
              OR (m.transaction_id IS NULL AND m.evse_id = t.evse_id))
          AND m.measurand LIKE 'Energy.%.Register'
    ) b
) backwards
CROSS JOIN LATERAL (
    -- Oddities of writing (no zone, 24:00) are no reason for suspicion.
    SELECT flag_meanings(t.flags & ~3) || array_remove(ARRAY[
        CASE WHEN t.started_at IS NULL THEN 'no start' END,
        CASE WHEN t.stopped_at IS NULL AND heard.found IS NULL
                AND coalesce(t.last_event_at, t.partition_time) < now() - interval '1 day'
            THEN 'no end, and nothing heard for a day' END,
        CASE WHEN t.seq_no_missing > 0
            THEN t.seq_no_missing || ' events missing (gap in seqNo)' END,
        CASE WHEN overlap.transaction_id IS NOT NULL
            THEN 'overlaps transaction ' || overlap.transaction_id || ' on the same EVSE' END,
        CASE WHEN sibling.transaction_id IS NOT NULL
            THEN 'the same start got another id, ' || sibling.transaction_id
                || ', with which it went on' END,
        CASE WHEN backwards.count > 0
            THEN 'the meter ran backwards ' || backwards.count || ' times' END
    ], NULL) AS reasons
) r
WHERE cardinality(r.reasons) > 0;
COMMENT ON VIEW suspicious_sessions IS 'Transactions in which something looks wrong, with the reasons in words; nothing was changed or rejected for them';

SELECT grant_table(v) FROM unnest(
    ARRAY['meter_samples', 'meter_values_json', 'sessions', 'suspicious_sessions']) v;
