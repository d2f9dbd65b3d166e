-- Functions as they were. Rights that were taken back stay so: nothing that is left needs them.

CREATE OR REPLACE FUNCTION partition_of(parent text, at timestamptz,
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

CREATE OR REPLACE FUNCTION ensure_partition(parent text, at timestamptz) RETURNS boolean
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

CREATE OR REPLACE FUNCTION partition_exists(parent text, name text) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT EXISTS (
        SELECT FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass(format('%I', parent))
          AND c.oid = to_regclass(format('%I', name))
          -- A column of PostgreSQL 14 and later: a partition that is being detached.
          AND NOT coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false))
$$;

CREATE OR REPLACE FUNCTION loading_lock_is_held(key integer, lock_mode text, pid integer DEFAULT NULL) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT EXISTS (
        SELECT FROM pg_locks l
        WHERE l.locktype = 'advisory' AND l.granted AND l.mode = lock_mode
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND l.classid = (loading_lock_class()::bigint & 4294967295)::oid
          AND l.objid = (loading_lock_is_held.key::bigint & 4294967295)::oid AND l.objsubid = 2
          AND (loading_lock_is_held.pid IS NULL OR l.pid = loading_lock_is_held.pid))
$$;

CREATE OR REPLACE FUNCTION forbid_loading() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    name text;
BEGIN
    -- Waits for those that have just been allowed to load.
    PERFORM pg_advisory_lock_shared(loading_lock_class(), 0);
    SELECT p.table_name INTO name FROM loading_partitions p ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        PERFORM pg_advisory_unlock_shared(loading_lock_class(), 0);
        RAISE EXCEPTION 'rows of another replay wait in table "%"', name
            USING ERRCODE = 'OC003', HINT = 'they are visible when that replay is over';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION check_no_table(name text, parent text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass(format('%I', name)) IS NOT NULL AND NOT partition_exists(parent, name) THEN
        RAISE EXCEPTION 'table "%" is where it belongs, but is no partition of "%"', name, parent
            USING ERRCODE = 'OC001',
                HINT = 'attach it again, or move it to another schema, or drop it';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION may_load(parent text) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT NOT loading_lock_is_held(0, 'ShareLock')
        AND (SELECT count(*) FROM pg_index i WHERE i.indrelid = to_regclass(format('%I', parent))) = 1
        AND NOT EXISTS (SELECT FROM pg_trigger t
            WHERE t.tgrelid = to_regclass(format('%I', parent)) AND NOT t.tgisinternal)
$$;

CREATE OR REPLACE FUNCTION load_partition(parent text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
DECLARE
    part record;
    loading text;
    load loading_partitions;
BEGIN
    SELECT * INTO part FROM partition_of(parent, at);
    loading := part.name || '_loading';
    IF partition_exists(parent, part.name) THEN
        RETURN false;
    END IF;
    PERFORM check_no_table(part.name, parent);
    IF NOT may_load(parent) THEN
        PERFORM ensure_partition(parent, at);
        RETURN false;
    END IF;
    -- Waits while a step is under way. A session that has it already takes it no second time.
    IF NOT loading_lock_is_held(hashtext(loading), 'ShareLock', pg_backend_pid()) THEN
        PERFORM pg_advisory_lock_shared(loading_lock_class(), hashtext(loading));
    END IF;
    SELECT * INTO load FROM loading_partitions p WHERE p.table_name = loading;
    IF FOUND AND to_regclass(format('%I', loading)) IS NULL THEN
        RAISE WARNING 'table "%" was dropped with the rows it had', loading;
        DELETE FROM loading_partitions p WHERE p.table_name = loading;
    ELSIF load.indexed THEN
        PERFORM attach_loaded(loading); -- whoever indexed it was interrupted
    END IF;
    IF partition_exists(parent, part.name) THEN
        PERFORM end_loading(loading);
        RETURN false;
    END IF;
    -- Two that make it, or one that makes it and one that forbids it.
    PERFORM pg_advisory_xact_lock(loading_lock_class(), 0);
    IF EXISTS (SELECT FROM loading_partitions p WHERE p.table_name = loading) THEN
        -- Its partition came and went while it was moved there: what is added may go to the blocks
        -- that were done with.
        UPDATE loading_partitions p SET blocks_moved = 0
        WHERE p.table_name = loading AND p.blocks_moved > 0;
        RETURN true;
    END IF;
    EXECUTE format('CREATE TABLE %1$I (LIKE %2$I INCLUDING ALL EXCLUDING INDEXES, '
        'follows boolean, CONSTRAINT loading_bounds CHECK (%3$I >= %4$L AND %3$I < %5$L))',
        loading, parent,
        (SELECT t.time_column FROM partitioned_tables t WHERE t.table_name = parent),
        part.lower_bound, part.upper_bound);
    PERFORM grant_table(loading);
    INSERT INTO loading_partitions (table_name, parent, lower_bound)
    VALUES (loading, parent, part.lower_bound);
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION end_loading(loading text) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_unlock_shared(loading_lock_class(), hashtext(loading))
$$;

CREATE OR REPLACE FUNCTION drop_repeated(loading text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    messages bigint;
BEGIN
    EXECUTE format('
        WITH copies AS (
            SELECT ctid AS place, row_number() OVER (
                PARTITION BY charge_station_id, event_time, evse_id, digest
                ORDER BY received_at, ctid) AS n
            FROM %1$I
        ), gone AS (
            DELETE FROM %1$I l USING copies c
            WHERE c.n > 1 AND l.ctid = c.place
            RETURNING l.follows
        )
        SELECT count(*) FILTER (WHERE follows IS NULL) FROM gone', loading) INTO messages;
    RETURN messages;
END $$;

CREATE OR REPLACE FUNCTION index_loaded(loading text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    add_key text := format('ALTER TABLE %I ADD CONSTRAINT %I '
        'PRIMARY KEY (charge_station_id, event_time, evse_id, digest)', loading, loading || '_pkey');
    duplicates bigint := 0;
BEGIN
    -- Sorted in memory where that is possible.
    PERFORM set_config('maintenance_work_mem', '256MB', true)
    WHERE pg_size_bytes(current_setting('maintenance_work_mem')) < pg_size_bytes('256MB');
    -- And by one process: it works beside those that store the next day, and live messages.
    PERFORM set_config('max_parallel_maintenance_workers', '0', true);
    BEGIN
        EXECUTE add_key;
    EXCEPTION WHEN unique_violation THEN
        duplicates := drop_repeated(loading);
        EXECUTE add_key;
    END;
    UPDATE loading_partitions SET indexed = true WHERE table_name = loading;
    RETURN duplicates;
END $$;

CREATE OR REPLACE FUNCTION attach_loaded(loading text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    load loading_partitions;
    part record;
BEGIN
    SELECT * INTO load FROM loading_partitions WHERE table_name = loading FOR UPDATE;
    IF NOT FOUND OR NOT load.indexed THEN
        RETURN false;
    END IF;
    -- Whoever reads it (a backup) is waited for before the live stream has to wait for us.
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', loading);
    PERFORM set_config('lock_timeout', '2s', true);
    SELECT * INTO part FROM partition_of(load.parent, load.lower_bound);
    PERFORM pg_advisory_xact_lock(hashtext('ocpp-persister partition'), hashtext(part.name));
    IF to_regclass(format('%I', part.name)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER TABLE %I DROP COLUMN follows', loading);
    EXECUTE format('ALTER TABLE %I RENAME TO %I', loading, part.name);
    EXECUTE format('ALTER INDEX %I RENAME TO %I', loading || '_pkey', part.name || '_pkey');
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        load.parent, part.name, part.lower_bound, part.upper_bound);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT loading_bounds', part.name);
    DELETE FROM loading_partitions WHERE table_name = loading;
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION move_loaded(loading text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    blocks CONSTANT bigint := 500;
    load loading_partitions;
    columns text;
    duplicates bigint;
BEGIN
    SELECT * INTO load FROM loading_partitions WHERE table_name = loading;
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO columns
    FROM pg_attribute a
    WHERE a.attrelid = to_regclass(format('%I', load.parent)) AND a.attnum > 0
      AND NOT a.attisdropped;
    EXECUTE format('
        WITH loaded AS (
            SELECT *, row_number() OVER (
                PARTITION BY charge_station_id, event_time, evse_id, digest
                ORDER BY received_at, ctid) AS n
            FROM %1$I WHERE ctid >= %3$L::tid AND ctid < %4$L::tid
        ), stored AS (
            INSERT INTO %2$I (%5$s) SELECT %5$s FROM loaded WHERE n = 1
            ORDER BY charge_station_id, event_time, evse_id, digest
            ON CONFLICT (charge_station_id, event_time, evse_id, digest) DO NOTHING
            RETURNING charge_station_id, event_time, evse_id, digest
        )
        SELECT count(*) FROM loaded l
        LEFT JOIN stored s USING (charge_station_id, event_time, evse_id, digest)
        WHERE l.follows IS NULL AND (l.n > 1 OR s.digest IS NULL)',
        loading, load.parent, format('(%s,0)', load.blocks_moved),
        format('(%s,0)', load.blocks_moved + blocks), columns) INTO duplicates;
    UPDATE loading_partitions SET blocks_moved = load.blocks_moved + blocks
    WHERE table_name = loading;
    RETURN duplicates;
END $$;

CREATE OR REPLACE FUNCTION finish_loading(loading text, OUT state text, OUT duplicates bigint)
LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
DECLARE
    load loading_partitions;
    part record;
BEGIN
    duplicates := 0;
    IF NOT pg_try_advisory_xact_lock(loading_lock_class(), hashtext(loading)) THEN
        state := CASE WHEN loading_lock_is_held(hashtext(loading), 'ExclusiveLock')
            THEN 'stepping' ELSE 'busy' END;
        RETURN;
    END IF;
    -- Behind a load_partition() that attaches it just now.
    SELECT * INTO load FROM loading_partitions WHERE table_name = loading FOR UPDATE;
    IF NOT FOUND THEN
        state := 'gone';
        RETURN;
    END IF;
    IF to_regclass(format('%I', loading)) IS NULL THEN
        RAISE WARNING 'table "%" was dropped with the rows it had', loading;
        DELETE FROM loading_partitions WHERE table_name = loading;
        state := 'gone';
        RETURN;
    END IF;
    SELECT * INTO part FROM partition_of(load.parent, load.lower_bound);
    IF partition_exists(load.parent, part.name) THEN
        IF load.blocks_moved * current_setting('block_size')::bigint
            < pg_relation_size(to_regclass(format('%I', loading))) THEN
            duplicates := move_loaded(loading);
            state := 'moving';
        ELSE
            EXECUTE format('DROP TABLE %I', loading);
            DELETE FROM loading_partitions WHERE table_name = loading;
            state := 'moved';
        END IF;
    ELSIF NOT load.indexed THEN
        duplicates := index_loaded(loading);
        state := 'indexed';
    ELSIF attach_loaded(loading) THEN
        state := 'attached';
    ELSE
        PERFORM check_no_table(part.name, load.parent);
        state := 'moving';
    END IF;
END $$;

DROP FUNCTION rights_problems();
DROP FUNCTION grant_partition(text, text);
DROP FUNCTION own_table(text);
DROP FUNCTION trusted_owners();
REVOKE EXECUTE ON FUNCTION check_no_table FROM PUBLIC;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['partition_of', 'ensure_partition', 'partition_exists', 'loading_lock_is_held',
        'forbid_loading', 'check_no_table', 'may_load', 'load_partition',
        'end_loading', 'drop_repeated', 'index_loaded', 'attach_loaded',
        'move_loaded', 'finish_loading'] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END $$;
