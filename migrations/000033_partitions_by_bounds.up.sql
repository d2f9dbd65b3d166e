-- A partition is known by what it takes, not by its name: one that was renamed, or attached again
-- under another name, or that took the place of several (a month instead of its days), takes the
-- rows of its time. One that takes only a part of a partition of ours leaves no room for it: new
-- rows for that are dead letters of the reason partition_detached.

DO $migration$
DECLARE
    definition text;
BEGIN
    FOREACH definition IN ARRAY ARRAY[$sql$

CREATE FUNCTION @.partitions_at(parent text, from_time timestamptz, to_time timestamptz,
    OUT id oid, OUT whole boolean) RETURNS SETOF record
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
    SET datestyle = 'ISO' AS $$
BEGIN
    -- FOR VALUES FROM ('2026-01-31 00:00:00+00') TO (MAXVALUE); DEFAULT has none.
    RETURN QUERY
    SELECT b.oid, b.bounds[1]::timestamptz <= from_time AND b.bounds[2]::timestamptz >= to_time
    FROM (
        SELECT c.oid, regexp_match(replace(replace(pg_get_expr(c.relpartbound, c.oid),
            'MINVALUE', '''-infinity'''), 'MAXVALUE', '''infinity'''),
            'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') AS bounds
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        JOIN pg_class p ON p.oid = i.inhparent
        WHERE p.relnamespace = '{schema}'::regnamespace AND p.relname = partitions_at.parent
          -- A column of PostgreSQL 14 and later: a partition that is being detached.
          AND NOT coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false)
    ) b
    WHERE b.bounds[1]::timestamptz < to_time AND b.bounds[2]::timestamptz > from_time;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.partition_exists(parent text, name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
    SET datestyle = 'ISO' AS $$
DECLARE
    suffix text[] := regexp_match(substr(name, length(parent) + 2),
        '^(20\d\d)_(\d\d)(?:_(\d\d))?$');
    at timestamptz := '-infinity';
    part record;
BEGIN
    IF EXISTS (
        SELECT FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        JOIN pg_class p ON p.oid = i.inhparent
        WHERE c.relnamespace = '{schema}'::regnamespace AND c.relname = partition_exists.name
          AND p.relnamespace = '{schema}'::regnamespace AND p.relname = partition_exists.parent
          AND NOT coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false)) THEN
        RETURN true;
    END IF;
    IF suffix IS NOT NULL THEN -- whatever the digits are, this is a time
        at := make_timestamptz(suffix[1]::integer, 1, 1, 0, 0, 0) + make_interval(
            months => suffix[2]::integer - 1, days => coalesce(suffix[3]::integer, 1) - 1);
    END IF;
    SELECT * INTO part FROM @.partition_of(parent, at);
    RETURN part.name = partition_exists.name AND EXISTS (
        SELECT FROM @.partitions_at(parent, part.lower_bound, part.upper_bound) a
        JOIN pg_class c ON c.oid = a.id
        WHERE a.whole AND c.relnamespace = '{schema}'::regnamespace);
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.check_no_table(name text, parent text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    elsewhere text;
BEGIN
    IF EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = '{schema}'::regnamespace
            AND c.relname = check_no_table.name) AND NOT @.partition_exists(parent, name) THEN
        RAISE EXCEPTION 'table "%" is where it belongs, but is no partition of "%"', name, parent
            USING ERRCODE = 'OC001',
                HINT = 'attach it again, or move it to another schema, or drop it';
    END IF;
    SELECT c.relnamespace::regnamespace::text INTO elsewhere
    FROM pg_class c
    JOIN pg_inherits i ON i.inhrelid = c.oid
    JOIN pg_class p ON p.oid = i.inhparent
    WHERE c.relname = check_no_table.name AND c.relnamespace <> '{schema}'::regnamespace
      AND p.relname = check_no_table.parent AND p.relnamespace = '{schema}'::regnamespace;
    IF FOUND THEN
        RAISE EXCEPTION 'partition "%" of "%" was moved to schema %', name, parent, elsewhere
            USING ERRCODE = 'OC001',
                HINT = format('ALTER TABLE %s.%I SET SCHEMA %s, or detach it', elsewhere, name,
                    '{schema}');
    END IF;
END $$

$sql$, $sql$

CREATE FUNCTION @.check_no_overlap(parent text, from_time timestamptz, to_time timestamptz)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    other text;
BEGIN
    SELECT a.id::regclass::text INTO other FROM @.partitions_at(parent, from_time, to_time) a LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'partition "%" of "%" takes some of the time from % to %, and not all of it here',
            other, parent, from_time, to_time
            USING ERRCODE = 'OC001', HINT = 'detach it, or attach it in schema {schema} for the whole time';
    END IF;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.ensure_partition(parent text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
    SET datestyle = 'ISO' AS $$
DECLARE
    part record;
    parent_table regclass;
BEGIN
    SELECT * INTO part FROM @.partition_of(parent, at);
    IF @.partition_exists(parent, part.name) THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('ocpp-persister partition'), hashtext(part.name));
    IF @.partition_exists(parent, part.name) THEN
        RETURN false;
    END IF;
    PERFORM @.check_no_table(part.name, parent);
    PERFORM @.check_no_overlap(parent, part.lower_bound, part.upper_bound);
    parent_table := @.own_table(parent);
    EXECUTE format('CREATE TABLE %s.%I (LIKE %s INCLUDING ALL)', '{schema}', part.name, parent_table);
    IF part.lower_bound = '-infinity' THEN
        EXECUTE format('ALTER TABLE %s.%I ADD CONSTRAINT undated CHECK (%I = ''-infinity'')',
            '{schema}', part.name,
            (SELECT t.time_column FROM @.partitioned_tables t WHERE t.table_name = parent));
    END IF;
    PERFORM @.grant_partition(part.name, parent);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s.%I FOR VALUES FROM (%L) TO (%L)',
        parent_table, '{schema}', part.name, part.lower_bound, part.upper_bound);
    RETURN true;
END $$

    $sql$] LOOP
        EXECUTE replace(replace(definition, '@', quote_ident(current_schema())), '{schema}',
            replace(quote_ident(current_schema()), '''', ''''''));
    END LOOP;
END $migration$;

-- They read the catalog only, and ensure_partition() may have another owner.
GRANT EXECUTE ON FUNCTION partitions_at, check_no_overlap TO PUBLIC;

COMMENT ON FUNCTION partitions_at IS 'Partitions of a table, whatever they are called, that take a part of this time (half-open), and whether they take all of it';
COMMENT ON FUNCTION partition_exists IS 'True if there is a partition of that name, or one that takes its time, in our schema';
COMMENT ON FUNCTION check_no_overlap IS 'Fails if a partition takes a part of this time already';
