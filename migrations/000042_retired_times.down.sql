DO $migration$
DECLARE
    definition text;
BEGIN
    FOREACH definition IN ARRAY ARRAY[$sql$

CREATE OR REPLACE FUNCTION @.partition_list(OUT parent text, OUT name text, OUT from_time timestamptz,
    OUT to_time timestamptz, OUT estimated_rows bigint, OUT bytes bigint, OUT state text)
RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
    SET datestyle = 'ISO' AS $$
    WITH attached AS (
        SELECT t.table_name, c.oid, coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false)
                AS pending,
            -- FOR VALUES FROM ('2026-01-31 00:00:00+00') TO (MAXVALUE); DEFAULT has none.
            regexp_match(replace(replace(pg_get_expr(c.relpartbound, c.oid), 'MINVALUE',
                '''-infinity'''), 'MAXVALUE', '''infinity'''),
                'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') AS bounds
        FROM @.partitioned_tables t
        JOIN pg_class p ON p.relname = t.table_name AND p.relnamespace = '{schema}'::regnamespace
        JOIN pg_inherits i ON i.inhparent = p.oid
        JOIN pg_class c ON c.oid = i.inhrelid
    ), beside AS (
        SELECT t.table_name, t.step, c.oid, c.relname, regexp_match(substr(c.relname,
            length(t.table_name) + 1), '^_(20\d\d)_(\d\d)(?:_(\d\d))?(?:_|$)') AS suffix
        FROM @.partitioned_tables t
        JOIN pg_class c ON c.relnamespace = '{schema}'::regnamespace AND c.relkind = 'r'
            AND NOT c.relispartition AND starts_with(c.relname, t.table_name || '_')
    ), listed AS (
        SELECT a.table_name, a.oid, a.bounds[1]::timestamptz AS from_time,
            a.bounds[2]::timestamptz AS to_time,
            CASE WHEN a.pending THEN 'detaching' WHEN a.bounds IS NULL THEN 'default'
                WHEN a.bounds[1]::timestamptz = '-infinity' THEN 'undated' ELSE 'attached' END
                AS state
        FROM attached a
        UNION ALL
        SELECT b.table_name, b.oid, d.from_time,
            d.from_time + CASE b.step WHEN 'day' THEN interval '1 day' ELSE interval '1 month' END,
            CASE WHEN EXISTS (SELECT FROM @.loading_partitions l WHERE l.table_name = b.relname)
                    THEN 'loading'
                WHEN b.relname ~ ('_retired_' || b.oid || '$') THEN 'retired'
                ELSE 'detached' END
        FROM beside b, LATERAL (
            -- Whatever the digits are, this is a time.
            SELECT make_timestamptz(b.suffix[1]::integer, 1, 1, 0, 0, 0) + make_interval(
                months => b.suffix[2]::integer - 1,
                days => coalesce(b.suffix[3]::integer, 1) - 1) AS from_time) d
        WHERE b.suffix IS NOT NULL OR b.relname ~ ('_retired_' || b.oid || '$')
    )
    SELECT l.table_name, CASE WHEN c.relnamespace = '{schema}'::regnamespace THEN c.relname::text
            ELSE c.oid::regclass::text END,
        l.from_time, l.to_time,
        CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint ELSE pg_stat_get_live_tuples(c.oid) END,
        pg_total_relation_size(c.oid),
        CASE WHEN c.relnamespace = '{schema}'::regnamespace THEN l.state ELSE 'elsewhere' END
    FROM listed l JOIN pg_class c ON c.oid = l.oid
$$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.retire_partition(parent text, name text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
    SET datestyle = 'ISO' SET lock_timeout = '40ms' AS $$
DECLARE
    parent_table regclass;
    part regclass;
    listed record;
    retired text;
BEGIN
    SELECT l.state, l.from_time, l.to_time INTO listed FROM @.partition_list() l
    WHERE l.parent = retire_partition.parent AND l.name = retire_partition.name;
    parent_table := @.own_table(parent);
    part := @.own_table(name);
    IF listed.state IS DISTINCT FROM 'attached' OR parent_table IS NULL OR part IS NULL THEN
        RAISE EXCEPTION 'table "%" is no partition of "%" for a time of ours', name, parent
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'partition_list() has those there are';
    END IF;
    IF listed.to_time > now() THEN
        RAISE EXCEPTION 'partition "%" takes rows until %: its time is not over', name,
            listed.to_time USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- First what only late rows want; the parent, which all want, for a moment.
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', part);
    EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', parent_table, part);
    retired := parent || to_char(listed.from_time, '_YYYY_MM_DD') || '_retired_' || part::oid;
    EXECUTE format('ALTER TABLE %s RENAME TO %I', part, retired);
    RETURN retired;
END $$

    $sql$] LOOP
        EXECUTE replace(replace(definition, '@', quote_ident(current_schema())), '{schema}',
            replace(quote_ident(current_schema()), '''', ''''''));
    END LOOP;
END $migration$;

COMMENT ON FUNCTION partition_list IS 'Partitions of our tables and tables that were or will be partitions: the time they take, rows (estimated), bytes with indexes, and a state: attached, undated, default, elsewhere (moved to another schema), detaching, detached, loading, retired (detached to be dropped)';
