DO $$
DECLARE
    name text;
BEGIN
    PERFORM set_config('search_path', 'pg_catalog', true);
    FOREACH name IN ARRAY ARRAY['local_auth_list_entries', 'charge_station_event', 'variable_monitoring'] LOOP
        EXECUTE format('CREATE OR REPLACE VIEW maeve.%I AS %s', name,
            regexp_replace(pg_get_viewdef(format('maeve.%I', name)::regclass),
                'ocpp\.json_items\((\([^\n()]*''(?:localAuthorizationList|eventData|setMonitoringData|setMonitoringResult)''::text\))\)',
                'jsonb_array_elements(CASE jsonb_typeof(\1) WHEN ''array'' THEN \1 END)', 'g'));
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
        FROM jsonb_array_elements(CASE jsonb_typeof(periods) WHEN 'array' THEN periods END)
            WITH ORDINALITY AS i (v, n)
    ) p
    WHERE p.start_period IS NOT NULL AND p."limit" IS NOT NULL
$$;
