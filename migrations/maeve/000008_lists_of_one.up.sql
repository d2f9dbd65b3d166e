-- One object where OCPP has a list is a list of one, here as in schema ocpp (json_items()). Views are
-- changed as they are now, masked.
DO $$
DECLARE
    name text;
    before text;
    after text;
BEGIN
    PERFORM set_config('search_path', 'pg_catalog', true);
    FOREACH name IN ARRAY ARRAY['local_auth_list_entries', 'charge_station_event', 'variable_monitoring'] LOOP
        before := pg_get_viewdef(format('maeve.%I', name)::regclass);
        after := regexp_replace(before,
            'jsonb_array_elements\(\s*CASE jsonb_typeof\(([^\n]*)\)\s+WHEN ''array''::text THEN \([^\n]*\)\s+ELSE NULL::jsonb\s+END\)',
            'ocpp.json_items(\1)', 'g');
        IF after = before THEN
            RAISE EXCEPTION 'view % is not that of migration 6', name;
        END IF;
        EXECUTE format('CREATE OR REPLACE VIEW maeve.%I AS %s', name, after);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION maeve.schedule_periods(periods jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('startPeriod', p.start_period,
        'limit', p."limit", 'numberPhases', p.phases)) ORDER BY p.n), '[]')
    FROM (
        SELECT i.n, maeve.whole_of(i.v -> 'startPeriod') AS start_period,
            maeve.number_of(i.v -> 'limit') AS "limit",
            maeve.whole_of(i.v -> 'numberPhases') AS phases
        -- Readers of this schema alone may call it, too: nothing of ocpp.
        FROM jsonb_array_elements(CASE jsonb_typeof(periods) WHEN 'array' THEN periods
            WHEN 'object' THEN jsonb_build_array(periods) END) WITH ORDINALITY AS i (v, n)
    ) p
    WHERE p.start_period IS NOT NULL AND p."limit" IS NOT NULL
$$;
