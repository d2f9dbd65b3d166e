-- Partitions: which tables have them, and how one is made.
--
-- Everything is created in the first schema of search_path ("ocpp" unless set otherwise), so no
-- name here is qualified. Functions that look at our tables fix their search_path: people call them,
-- and the views, by qualified names from sessions with another one.

CREATE TABLE partitioned_tables (
    table_name text PRIMARY KEY,
    time_column text NOT NULL,
    step text NOT NULL CHECK (step IN ('day', 'month'))
);
COMMENT ON TABLE partitioned_tables IS 'Tables partitioned by range of an event''s own time, in UTC. The program compares this with what it was built for.';
COMMENT ON COLUMN partitioned_tables.table_name IS 'The parent table';
COMMENT ON COLUMN partitioned_tables.time_column IS 'The column of the partition key';
COMMENT ON COLUMN partitioned_tables.step IS 'Length of one partition';

-- Times outside [2010-01-01, 2100-01-01) are stored as -infinity with the station's text beside
-- them; they and nothing else live in the partition "_undated", which ends where the first real
-- partition may begin. There is no DEFAULT partition on purpose: attaching a partition beside a
-- DEFAULT one takes an ACCESS EXCLUSIVE lock on it, so any open query on the parent would hold up
-- new partitions, and everything queued behind them.
CREATE FUNCTION partition_of(parent text, at timestamptz,
    OUT name text, OUT lower_bound timestamptz, OUT upper_bound timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    unit text;
BEGIN
    SELECT p.step INTO unit FROM partitioned_tables p WHERE p.table_name = parent;
    IF unit IS NULL THEN
        RAISE EXCEPTION 'table "%" is not partitioned by time', parent
            USING ERRCODE = 'undefined_object';
    END IF;
    IF at < '2010-01-01 00:00:00Z' OR at >= '2100-01-01 00:00:00Z' THEN
        name := parent || '_undated';
        lower_bound := '-infinity';
        upper_bound := '2010-01-01 00:00:00Z';
        RETURN;
    END IF;
    lower_bound := date_trunc(unit, at, 'UTC');
    upper_bound := (lower_bound AT TIME ZONE 'UTC' + ('1 ' || unit)::interval) AT TIME ZONE 'UTC';
    name := parent || to_char(lower_bound AT TIME ZONE 'UTC',
        CASE unit WHEN 'day' THEN '_YYYY_MM_DD' ELSE '_YYYY_MM' END);
END $$;
COMMENT ON FUNCTION partition_of IS 'Name and bounds (half-open, UTC) of the partition of a table that takes a time';

-- LIKE and ATTACH instead of CREATE TABLE ... PARTITION OF: the latter takes an ACCESS EXCLUSIVE
-- lock on the parent and so waits for every open query; ATTACH takes SHARE UPDATE EXCLUSIVE.
-- The bounds pass through text here, so the session's way of writing times must not matter: under
-- DateStyle SQL, India's "IST" would be read back as Israel's.
CREATE FUNCTION ensure_partition(parent text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
DECLARE
    part record;
BEGIN
    SELECT * INTO part FROM partition_of(parent, at);
    IF partition_exists(parent, part.name) THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('ocpp-persister partition'), hashtext(part.name));
    IF partition_exists(parent, part.name) THEN
        RETURN false;
    END IF;
    -- Somebody detached it, perhaps to look at it, and left it here. The program knows this code.
    IF to_regclass(format('%I', part.name)) IS NOT NULL THEN
        RAISE EXCEPTION 'table "%" is where it belongs, but is no partition of "%"', part.name, parent
            USING ERRCODE = 'OC001',
                HINT = 'attach it again, or move it to another schema, or drop it';
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part.name, parent);
    IF part.lower_bound = '-infinity' THEN
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT undated CHECK (%I = ''-infinity'')', part.name,
            (SELECT time_column FROM partitioned_tables WHERE table_name = parent));
    END IF;
    PERFORM grant_table(part.name);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        parent, part.name, part.lower_bound, part.upper_bound);
    RETURN true;
END $$;
COMMENT ON FUNCTION ensure_partition IS 'Makes the partition of a table that takes a time, if it is not there. True if it made one. Runs as its owner, so that a writer needs no right to create tables.';

CREATE FUNCTION partition_exists(parent text, name text) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT EXISTS (
        SELECT FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass(format('%I', parent))
          AND c.oid = to_regclass(format('%I', name))
          -- A column of PostgreSQL 14 and later: a partition that is being detached.
          AND NOT coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false))
$$;
COMMENT ON FUNCTION partition_exists IS 'True if the partition is there and attached';

CREATE FUNCTION check_attached(names text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    SELECT n INTO name FROM unnest(names) AS n
    WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = to_regclass(format('%I', n)))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'partition "%" was detached', name USING ERRCODE = 'OC002';
    END IF;
END $$;
COMMENT ON FUNCTION check_attached IS 'Fails if one of these tables is no partition (any more)';

-- Roles are optional: they are made if the migrating role may make them. Whoever migrates owns
-- everything; a persister that runs as a member of ocpp_writer cannot change the schema.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['ocpp_writer', 'ocpp_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            EXCEPTION
                WHEN insufficient_privilege THEN
                    RAISE WARNING 'role "%" is not there and may not be created here', role;
                WHEN duplicate_object OR unique_violation THEN
                    NULL; -- another database of this cluster is being migrated
            END;
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION grant_table(name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO ocpp_writer', name);
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        EXECUTE format('GRANT SELECT ON %I TO ocpp_reader', name);
    END IF;
END $$;
COMMENT ON FUNCTION grant_table IS 'Gives the roles ocpp_writer and ocpp_reader, where they exist, their rights on a table or view';

CREATE FUNCTION make_partitioned(parent text, time_column text, step text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO partitioned_tables VALUES (parent, time_column, step);
    PERFORM grant_table(parent);
    PERFORM ensure_partition(parent, '-infinity');
END $$;
COMMENT ON FUNCTION make_partitioned IS 'For migrations: registers a partitioned table and makes its partition for impossible times';

-- pg_temp last: otherwise it is searched first, and a temporary table could stand in for ours.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['partition_of', 'ensure_partition', 'partition_exists',
        'check_attached'] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
    -- It makes tables with its owner's rights, so not everybody may call it.
    REVOKE EXECUTE ON FUNCTION ensure_partition FROM PUBLIC;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO ocpp_writer', current_schema());
        GRANT SELECT ON schema_migrations TO ocpp_writer; -- it checks the version when it starts
        GRANT EXECUTE ON FUNCTION ensure_partition TO ocpp_writer;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO ocpp_reader', current_schema());
    END IF;
END $$;
SELECT grant_table('partitioned_tables');
