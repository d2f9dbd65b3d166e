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
        (15, 'end_ambiguous')
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
        (15, 'an end that may be of this or of another session with the same id')
    ) AS f (bit, meaning)
    WHERE flags & (1 << f.bit) <> 0
$$;
SELECT bind_function('flag_meanings(integer)'::regprocedure, true);

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
    normalised(s.value, unit_factor(u.unit), s.multiplier) AS value,
    unit_name(u.unit) AS unit,
    coalesce(v.raw #>> ARRAY['text', s.position::text], s.value::text) AS value_text,
    s.unit AS stated_unit,
    s.multiplier AS stated_multiplier,
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
        p.sample ->> 'phase', p.sample ->> 'context', p.sample ->> 'location',
        coalesce(p.sample #>> '{unitOfMeasure,unit}', p.sample ->> 'unit'),
        CASE WHEN p.sample #>> '{unitOfMeasure,multiplier}' ~ '^-?[0-9]{1,5}$'
            THEN (p.sample #>> '{unitOfMeasure,multiplier}')::integer END,
        -- Where these are text they are known; where they are not, they say what nobody understands.
        CASE jsonb_typeof(p.sample) WHEN 'object' THEN p.sample - ARRAY(
            SELECT k.key FROM jsonb_each(p.sample) k
            WHERE k.key IN ('measurand', 'unit') AND jsonb_typeof(k.value) = 'string')
            ELSE p.sample END
    FROM jsonb_array_elements(CASE WHEN v.layout_id = 0
            AND jsonb_typeof(v.raw -> 'samples') = 'array' THEN v.raw -> 'samples' END)
        WITH ORDINALITY AS p (sample, position)
) s
CROSS JOIN LATERAL (
    -- Of a row whose layout is missing nobody knows what it measured: no default for it.
    SELECT CASE WHEN v.layout_id = 0 OR l.layout_id IS NOT NULL
        THEN CASE WHEN s.measurand IS NOT NULL THEN s.measurand
            WHEN coalesce(s.unit, 'Wh') IN ('Wh', 'kWh', 'MWh') AND says_no_more(s.rest)
            THEN 'Energy.Active.Import.Register' END END AS measurand
) m
CROSS JOIN LATERAL (
    SELECT coalesce(s.unit, CASE WHEN m.measurand LIKE 'Energy%' THEN 'Wh' END) AS unit
) u;
COMMENT ON COLUMN meter_samples.value IS 'In unit; NULL = not a number, or its multiplier is beyond +-15';
COMMENT ON COLUMN meter_samples.stated_unit IS 'The unit as sent; NULL = not stated';
COMMENT ON COLUMN meter_samples.stated_multiplier IS '2.x: unitOfMeasure.multiplier, a power of ten, as sent';

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
FROM meter_values_masked v
LEFT JOIN meter_value_layouts l ON l.layout_id = v.layout_id;

CREATE OR REPLACE FUNCTION energy_register(sampled_value jsonb) RETURNS numeric
LANGUAGE sql STABLE AS $$
    SELECT normalised((s.sample ->> 'value')::numeric, unit_factor(u.unit),
        CASE WHEN u.multiplier ~ '^-?[0-9]{1,5}$' THEN u.multiplier::integer END)
    FROM jsonb_array_elements(CASE WHEN jsonb_typeof(sampled_value) = 'array'
        THEN sampled_value END) WITH ORDINALITY AS s (sample, position)
    CROSS JOIN LATERAL (
        SELECT coalesce(s.sample #>> '{unitOfMeasure,unit}', s.sample ->> 'unit', 'Wh') AS unit,
            s.sample #>> '{unitOfMeasure,multiplier}' AS multiplier
    ) u
    WHERE coalesce(s.sample ->> 'measurand', 'Energy.Active.Import.Register')
            = 'Energy.Active.Import.Register'
      AND u.unit IN ('Wh', 'kWh', 'MWh')
      AND (s.sample ->> 'measurand' IS NOT NULL OR says_no_more(
          CASE jsonb_typeof(s.sample) WHEN 'object' THEN s.sample - 'unit' ELSE s.sample END))
      AND s.sample ->> 'phase' IS NULL
      AND s.sample ->> 'value' ~ '^-?[0-9]{1,60}([.][0-9]{1,60})?$'
    ORDER BY s.position
    LIMIT 1
$$;
SELECT bind_function('energy_register(jsonb)'::regprocedure, true);

CREATE OR REPLACE FUNCTION says_no_more(rest jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT rest IS NULL OR (jsonb_typeof(rest) = 'object'
        AND (SELECT coalesce(bool_and(jsonb_typeof(k.value) = 'null'
                OR k.key IN ('value', 'context', 'format', 'phase', 'location', 'signedMeterValue',
                    'customData')
                OR (k.key = 'unitOfMeasure' AND jsonb_typeof(k.value) = 'object')), true)
            FROM jsonb_each(CASE jsonb_typeof(rest) WHEN 'object' THEN rest END) k))
$$;
COMMENT ON FUNCTION says_no_more IS 'Whether what is left of a sample, beside measurand and unit, has nothing but what OCPP knows: then a measurand that it does not state is the default';
SELECT bind_function('says_no_more(jsonb)'::regprocedure, true);


DROP FUNCTION sample_is_unclear;
DROP FUNCTION sample_multiplier;
DROP FUNCTION sample_unit;
DROP FUNCTION whole_number;
DROP FUNCTION scalar_text;
