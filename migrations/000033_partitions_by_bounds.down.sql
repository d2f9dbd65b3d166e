DO $migration$
DECLARE
    definition text;
BEGIN
    FOREACH definition IN ARRAY ARRAY[$sql$

CREATE OR REPLACE FUNCTION @.partition_exists(parent text, name text) RETURNS boolean
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        JOIN pg_class p ON p.oid = i.inhparent
        WHERE c.relnamespace = '{schema}'::regnamespace AND c.relname = partition_exists.name
          AND p.relnamespace = '{schema}'::regnamespace AND p.relname = partition_exists.parent
          -- A column of PostgreSQL 14 and later: a partition that is being detached.
          AND NOT coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false))
$$

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

CREATE OR REPLACE FUNCTION @.ensure_partition(parent text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
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

DROP FUNCTION check_no_overlap(text, timestamptz, timestamptz);
DROP FUNCTION partitions_at(text, timestamptz, timestamptz);
COMMENT ON FUNCTION partition_exists IS 'True if the partition is there and attached';
