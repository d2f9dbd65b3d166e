-- Stations write the unit, or the power of ten, of a sample where another version of OCPP has it. A
-- sample counts in the unit that it states, wherever that is. One that states two units, or one that
-- nobody understands, has no value, since it may be off by a thousand.

CREATE FUNCTION scalar_text(v jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(v) IN ('string', 'number') THEN v #>> '{}' END
$$;
COMMENT ON FUNCTION scalar_text IS 'A JSON string or number as text; NULL for anything else';
SELECT bind_function('scalar_text(jsonb)'::regprocedure, true);

CREATE FUNCTION whole_number(v jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN scalar_text(v) ~ '^-?[0-9]{1,60}([.]0{1,60})?$'
        THEN CASE WHEN scalar_text(v)::numeric BETWEEN -2147483648 AND 2147483647
            THEN scalar_text(v)::numeric::integer END END
$$;
COMMENT ON FUNCTION whole_number IS 'A whole number that JSON has as a number or as a text; NULL for anything else';
SELECT bind_function('whole_number(jsonb)'::regprocedure, true);

CREATE FUNCTION sample_unit(sample jsonb, known text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(known, scalar_text(sample #> '{unitOfMeasure,unit}'),
        scalar_text(sample -> 'unitOfMeasure'), scalar_text(sample -> 'unit'))
$$;
COMMENT ON FUNCTION sample_unit IS 'The unit that a sample states, where OCPP 2.x or 1.6 has it; known if that is not NULL';
SELECT bind_function('sample_unit(jsonb,text)'::regprocedure, true);

CREATE FUNCTION sample_multiplier(sample jsonb, known integer) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(known, whole_number(sample #> '{unitOfMeasure,multiplier}'),
        whole_number(sample -> 'multiplier'))
$$;
COMMENT ON FUNCTION sample_multiplier IS 'The power of ten that a sample states, in unitOfMeasure or beside it; known if that is not NULL';
SELECT bind_function('sample_multiplier(jsonb,integer)'::regprocedure, true);

CREATE FUNCTION sample_is_unclear(sample jsonb, unit text, multiplier integer) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(sample ?| ARRAY['unit', 'unitOfMeasure', 'multiplier'], false) AND (
        EXISTS (SELECT FROM (VALUES (sample -> 'unit'), (sample #> '{unitOfMeasure,unit}'),
                (CASE WHEN jsonb_typeof(sample -> 'unitOfMeasure') <> 'object'
                    THEN sample -> 'unitOfMeasure' END)) AS u (v)
            WHERE jsonb_typeof(u.v) <> 'null' AND coalesce(scalar_text(u.v) <> unit, true))
        OR EXISTS (SELECT FROM (VALUES (sample -> 'multiplier'),
                (sample #> '{unitOfMeasure,multiplier}')) AS m (v)
            WHERE jsonb_typeof(m.v) <> 'null' AND coalesce(whole_number(m.v) <> multiplier, true)))
$$;
COMMENT ON FUNCTION sample_is_unclear IS 'Whether a sample also states another unit or power of ten than these, or one that nobody understands';
SELECT bind_function('sample_is_unclear(jsonb,text,integer)'::regprocedure, true);

CREATE OR REPLACE FUNCTION says_no_more(rest jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT rest IS NULL OR (jsonb_typeof(rest) = 'object'
        AND (SELECT coalesce(bool_and(jsonb_typeof(k.value) = 'null'
                OR k.key IN ('value', 'context', 'format', 'phase', 'location', 'signedMeterValue',
                    'customData', 'unit', 'unitOfMeasure', 'multiplier')), true)
            FROM jsonb_each(CASE jsonb_typeof(rest) WHEN 'object' THEN rest END) k))
$$;
COMMENT ON FUNCTION says_no_more IS 'Whether what is left of a sample, beside its measurand, has nothing but what OCPP knows: then a measurand that it does not state is the default';
SELECT bind_function('says_no_more(jsonb)'::regprocedure, true);

CREATE OR REPLACE VIEW meter_samples AS
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
    CASE WHEN NOT o.unclear THEN normalised(s.value, unit_factor(u.unit), w.multiplier) END AS value,
    unit_name(u.unit) AS unit,
    coalesce(v.raw #>> ARRAY['text', s.position::text], s.value::text) AS value_text,
    w.unit AS stated_unit,
    w.multiplier AS stated_multiplier,
    v.received_at,
    v.flags,
    v.digest
FROM meter_values_masked v
LEFT JOIN meter_value_layouts l ON l.layout_id = v.layout_id
CROSS JOIN LATERAL (
    SELECT p.position::integer, p.value, p.measurand, p.phase, p.context, p.location, p.unit,
        p.multiplier, v.raw #> ARRAY['sample', p.position::text] AS rest
    FROM unnest(v.sampled, l.measurand, l.phase, l.context, l.location, l.unit, l.multiplier)
        WITH ORDINALITY AS p (value, measurand, phase, context, location, unit, multiplier, position)
    WHERE v.layout_id <> 0
    UNION ALL
    SELECT p.position::integer, v.sampled[p.position], p.sample ->> 'measurand',
        p.sample ->> 'phase', p.sample ->> 'context', p.sample ->> 'location', NULL, NULL,
        -- Where it is text it is known; where it is not, it says what nobody understands.
        CASE WHEN jsonb_typeof(p.sample) = 'object'
                AND jsonb_typeof(p.sample -> 'measurand') = 'string'
            THEN p.sample - 'measurand' ELSE p.sample END
    FROM jsonb_array_elements(CASE WHEN v.layout_id = 0
            AND jsonb_typeof(v.raw -> 'samples') = 'array' THEN v.raw -> 'samples' END)
        WITH ORDINALITY AS p (sample, position)
) s
CROSS JOIN LATERAL (
    SELECT sample_unit(s.rest, s.unit) AS unit,
        sample_multiplier(s.rest, s.multiplier) AS multiplier
) w
CROSS JOIN LATERAL (
    SELECT sample_is_unclear(s.rest, w.unit, w.multiplier) AS unclear
) o
CROSS JOIN LATERAL (
    -- Of a row whose layout is missing nobody knows what it measured: no default for it.
    SELECT CASE WHEN v.layout_id = 0 OR l.layout_id IS NOT NULL
        THEN CASE WHEN s.measurand IS NOT NULL THEN s.measurand
            WHEN coalesce(w.unit, 'Wh') IN ('Wh', 'kWh', 'MWh') AND NOT o.unclear
                AND says_no_more(s.rest)
            THEN 'Energy.Active.Import.Register' END END AS measurand
) m
CROSS JOIN LATERAL (
    SELECT coalesce(w.unit, CASE WHEN m.measurand LIKE 'Energy%' THEN 'Wh' END) AS unit
) u;
COMMENT ON COLUMN meter_samples.value IS 'In unit; NULL = not a number, its multiplier is beyond +-15, or its unit is not clear (flag unit_unclear)';
COMMENT ON COLUMN meter_samples.stated_unit IS 'The unit as sent, in unitOfMeasure or unit; NULL = not stated';
COMMENT ON COLUMN meter_samples.stated_multiplier IS 'A power of ten as sent, in unitOfMeasure or beside it; NULL = not stated';

CREATE OR REPLACE VIEW meter_values_json AS
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
                'unitOfMeasure', CASE WHEN w.unit IS NOT NULL OR w.multiplier IS NOT NULL
                    THEN jsonb_build_object('unit', w.unit, 'multiplier', w.multiplier) END,
                'format', p.format,
                'signedMeterValue', v.raw #> ARRAY['signed', p.position::text]
            ) ORDER BY p.position)
            FROM unnest(v.sampled, l.measurand, l.phase, l.context, l.location, l.unit,
                l.multiplier, l.format) WITH ORDINALITY
                AS p (value, measurand, phase, context, location, unit, multiplier, format, position)
            CROSS JOIN LATERAL (
                SELECT sample_unit(v.raw #> ARRAY['sample', p.position::text], p.unit) AS unit,
                    sample_multiplier(v.raw #> ARRAY['sample', p.position::text],
                        p.multiplier) AS multiplier
            ) w
        ) END)) AS meter_value,
    v.received_at,
    v.digest
FROM meter_values_masked v
LEFT JOIN meter_value_layouts l ON l.layout_id = v.layout_id;

CREATE OR REPLACE FUNCTION energy_register(sampled_value jsonb) RETURNS numeric
LANGUAGE sql STABLE AS $$
    SELECT normalised((s.sample ->> 'value')::numeric, unit_factor(u.unit), u.multiplier)
    FROM jsonb_array_elements(CASE WHEN jsonb_typeof(sampled_value) = 'array'
        THEN sampled_value END) WITH ORDINALITY AS s (sample, position)
    CROSS JOIN LATERAL (
        SELECT sample_unit(s.sample, NULL) AS unit, sample_multiplier(s.sample, NULL) AS multiplier
    ) u
    WHERE coalesce(s.sample ->> 'measurand', 'Energy.Active.Import.Register')
            = 'Energy.Active.Import.Register'
      AND coalesce(u.unit, 'Wh') IN ('Wh', 'kWh', 'MWh')
      AND NOT sample_is_unclear(s.sample, u.unit, u.multiplier)
      AND (s.sample ->> 'measurand' IS NOT NULL OR says_no_more(s.sample))
      AND s.sample ->> 'phase' IS NULL
      AND s.sample ->> 'value' ~ '^-?[0-9]{1,60}([.][0-9]{1,60})?$'
    ORDER BY s.position
    LIMIT 1
$$;
SELECT bind_function('energy_register(jsonb)'::regprocedure, true);

CREATE OR REPLACE FUNCTION flag_names(flags integer) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(f.name ORDER BY f.bit), '{}')
    FROM (VALUES
        (0, 'time_zoneless'),
        (1, 'time_adjusted'),
        (2, 'time_invalid'),
        (3, 'time_future'),
        (4, 'text_replaced'),
        (5, 'value_not_number'),
        (6, 'multiplier_out_of_range'),
        (7, 'layout_in_row'),
        (8, 'duplicate_start'),
        (9, 'duplicate_stop'),
        (10, 'stop_before_start'),
        (11, 'meter_backwards'),
        (12, 'energy_implausible'),
        (13, 'shape'),
        (14, 'signed'),
        (15, 'end_ambiguous'),
        (16, 'unit_unclear')
    ) AS f (bit, name)
    WHERE flags & (1 << f.bit) <> 0
$$;
SELECT bind_function('flag_names(integer)'::regprocedure, true);

CREATE OR REPLACE FUNCTION flag_meanings(flags integer) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(f.meaning ORDER BY f.bit), '{}')
    FROM (VALUES
        (0, 'the time had no zone and was taken as UTC'),
        (1, 'the time says more than an instant: 24:00, second 60, more than six decimals'),
        (2, 'the time is none, or outside 2010 to 2100'),
        (3, 'the time is later than the time of receipt'),
        (4, 'part of the message could not be stored as it was; payload_raw has the message as received'),
        (5, 'a sampled value is not a number'),
        (6, 'a multiplier beyond +-15, which views do not apply'),
        (7, 'the station sends too many different sets of samples; the row describes itself'),
        (8, 'several different starts'),
        (9, 'several different ends'),
        (10, 'the end is before the start'),
        (11, 'the meter at the end is below the meter at the start'),
        (12, 'more energy than 500 kW would give in the time'),
        (13, 'an object where OCPP has a list, taken as a list of one'),
        (14, 'a sampled value is signed data, kept as it was sent'),
        (15, 'an end that may be of this or of another session with the same id'),
        (16, 'a sampled value with two different units or multipliers, or with one that is not understood')
    ) AS f (bit, meaning)
    WHERE flags & (1 << f.bit) <> 0
$$;
SELECT bind_function('flag_meanings(integer)'::regprocedure, true);
