-- We make no DEFAULT partition; an operator may have. If it has rows of a time that has no partition,
-- PostgreSQL lets none be made: rows of that time go to the DEFAULT one, too, as into any partition
-- that takes them. Nothing is loaded beside it, since what is loaded could not be attached.

DO $migration$
DECLARE
    definition text;
BEGIN
    FOREACH definition IN ARRAY ARRAY[$sql$

CREATE FUNCTION @.default_partition(parent regclass) RETURNS regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT nullif(t.partdefid, 0)::regclass FROM pg_partitioned_table t WHERE t.partrelid = parent
$$

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
    BEGIN
        EXECUTE format('CREATE TABLE %s.%I (LIKE %s INCLUDING ALL)', '{schema}', part.name,
            parent_table);
        IF part.lower_bound = '-infinity' THEN
            EXECUTE format('ALTER TABLE %s.%I ADD CONSTRAINT undated CHECK (%I = ''-infinity'')',
                '{schema}', part.name,
                (SELECT t.time_column FROM @.partitioned_tables t WHERE t.table_name = parent));
        END IF;
        PERFORM @.grant_partition(part.name, parent);
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s.%I FOR VALUES FROM (%L) TO (%L)',
            parent_table, '{schema}', part.name, part.lower_bound, part.upper_bound);
    EXCEPTION WHEN check_violation THEN
        -- The table is new and empty, so these are rows of its time in the DEFAULT partition.
        IF @.default_partition(parent_table) IS NULL THEN
            RAISE;
        END IF;
        RETURN false;
    END;
    RETURN true;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.may_load(parent text) RETURNS boolean
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT NOT @.loading_lock_is_held(0, 'ShareLock')
        AND (SELECT count(*) FROM pg_index i WHERE i.indrelid = @.own_table(parent)) = 1
        AND NOT EXISTS (SELECT FROM pg_trigger t
            WHERE t.tgrelid = @.own_table(parent) AND NOT t.tgisinternal)
        AND @.default_partition(@.own_table(parent)) IS NULL
$$

    $sql$] LOOP
        EXECUTE replace(replace(definition, '@', quote_ident(current_schema())), '{schema}',
            replace(quote_ident(current_schema()), '''', ''''''));
    END LOOP;
END $migration$;

-- It reads the catalog only, and the others may have another owner.
GRANT EXECUTE ON FUNCTION default_partition TO PUBLIC;

COMMENT ON FUNCTION default_partition IS 'The DEFAULT partition of a table, NULL if it has none';
COMMENT ON FUNCTION ensure_partition IS 'Makes the partition of a table that takes a time, if it is not there. True if it made one. False also where a DEFAULT partition has rows of that time, and takes more of them. Runs as its owner, so that a writer needs no right to create tables.';
