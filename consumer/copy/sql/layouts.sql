-- New layouts of meter values, before or with the rows that need them.
INSERT INTO meter_value_layouts (layout_id, measurand, phase, context, location, unit, multiplier,
    format, layout, first_charge_station_id)
SELECT x.layout_id,
    array(SELECT e.v ->> 0 FROM jsonb_array_elements(x.layout::jsonb) WITH ORDINALITY AS e (v, n) ORDER BY e.n),
    array(SELECT e.v ->> 1 FROM jsonb_array_elements(x.layout::jsonb) WITH ORDINALITY AS e (v, n) ORDER BY e.n),
    array(SELECT e.v ->> 2 FROM jsonb_array_elements(x.layout::jsonb) WITH ORDINALITY AS e (v, n) ORDER BY e.n),
    array(SELECT e.v ->> 3 FROM jsonb_array_elements(x.layout::jsonb) WITH ORDINALITY AS e (v, n) ORDER BY e.n),
    array(SELECT e.v ->> 4 FROM jsonb_array_elements(x.layout::jsonb) WITH ORDINALITY AS e (v, n) ORDER BY e.n),
    array(SELECT (e.v ->> 5)::integer FROM jsonb_array_elements(x.layout::jsonb) WITH ORDINALITY AS e (v, n) ORDER BY e.n),
    array(SELECT e.v ->> 6 FROM jsonb_array_elements(x.layout::jsonb) WITH ORDINALITY AS e (v, n) ORDER BY e.n),
    x.layout, x.first_charge_station_id
FROM {unnest:meter_value_layouts}
ORDER BY x.layout_id
ON CONFLICT (layout_id) DO NOTHING
