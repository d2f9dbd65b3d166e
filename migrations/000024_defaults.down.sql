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
      AND s.sample ->> 'phase' IS NULL
      AND s.sample ->> 'value' ~ '^-?[0-9]{1,60}([.][0-9]{1,60})?$'
    ORDER BY s.position
    LIMIT 1
$$;

DROP FUNCTION says_no_more;
