-- Partitions that are filled before they are partitions: a plain table without an index takes the
-- rows of one partition that does not exist yet, and is indexed once and attached behind them. That
-- costs the server half of what it costs to keep an index right row by row. Replay uses it for meter
-- values of days that have no partition.
--
--	load_partition()          the table is there, and this session fills it
--	COPY <partition>_loading  in the transactions of batches, like rows of any table
--	end_loading()             this session fills it no more
--	finish_loading()          one step towards the partition, again and again until it is one
--
-- Several sessions may fill one table. Each holds a shared advisory lock on it, which goes with the
-- session; a step needs it alone. The live stream never waits for any of this: it makes a partition
-- when it needs one, and then the rows that were loaded are moved there instead.
--
-- Rows that are waiting here are seen by nobody. Who has to see them (a table of values that fills
-- gaps) forbids loading for as long as its session lasts: forbid_loading().
--
-- Locks are taken in this order: the advisory lock on a table that is loaded, its row of
-- loading_partitions, the table itself, the partition's name, loading as a whole. Only the
-- partition's name is locked by the live stream, so it comes when little is left to be waited for.

CREATE TABLE loading_partitions (
    table_name text PRIMARY KEY,
    parent text NOT NULL REFERENCES partitioned_tables,
    lower_bound timestamptz NOT NULL,
    indexed boolean NOT NULL DEFAULT false,
    blocks_moved bigint NOT NULL DEFAULT 0,
    begun_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE loading_partitions IS 'Tables whose rows are stored and not visible yet: they are to become partitions (a replay of history). What an interrupted replay left here the next one attaches.';
COMMENT ON COLUMN loading_partitions.table_name IS 'The table that takes the rows: name of the partition, and _loading';
COMMENT ON COLUMN loading_partitions.parent IS 'The table that it will be a partition of';
COMMENT ON COLUMN loading_partitions.lower_bound IS 'Where the partition begins';
COMMENT ON COLUMN loading_partitions.indexed IS 'It has its key: no row is there twice, and none may be added without looking';
COMMENT ON COLUMN loading_partitions.blocks_moved IS 'Of a table whose partition was made by somebody else meanwhile: so many of its blocks are moved there';
COMMENT ON COLUMN loading_partitions.begun_at IS 'When it was made';

-- The number that goes with an advisory lock on a table that is being loaded.
CREATE FUNCTION loading_lock_class() RETURNS integer
LANGUAGE sql IMMUTABLE AS $$ SELECT hashtext('ocpp-persister loading') $$;
COMMENT ON FUNCTION loading_lock_class IS 'First key of the advisory locks on tables that are being loaded; the second is the hash of the name, or 0 for loading as a whole';

CREATE FUNCTION loading_lock_is_held(key integer, lock_mode text, pid integer DEFAULT NULL) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT EXISTS (
        SELECT FROM pg_locks l
        WHERE l.locktype = 'advisory' AND l.granted AND l.mode = lock_mode
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND l.classid = (loading_lock_class()::bigint & 4294967295)::oid
          AND l.objid = (loading_lock_is_held.key::bigint & 4294967295)::oid AND l.objsubid = 2
          AND (loading_lock_is_held.pid IS NULL OR l.pid = loading_lock_is_held.pid))
$$;
COMMENT ON FUNCTION loading_lock_is_held IS 'True if somebody, or that process, has the advisory lock with this second key. lock_mode as in pg_locks';

CREATE FUNCTION forbid_loading() RETURNS void
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
COMMENT ON FUNCTION forbid_loading IS 'Until this session ends no table is loaded: whoever looks for a row finds it where it belongs. Fails if rows of somebody else wait to become visible';

-- As in ensure_partition(): somebody detached it, perhaps to look at it. The program knows the code.
CREATE FUNCTION check_no_table(name text, parent text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass(format('%I', name)) IS NOT NULL AND NOT partition_exists(parent, name) THEN
        RAISE EXCEPTION 'table "%" is where it belongs, but is no partition of "%"', name, parent
            USING ERRCODE = 'OC001',
                HINT = 'attach it again, or move it to another schema, or drop it';
    END IF;
END $$;
COMMENT ON FUNCTION check_no_table IS 'Fails if there is a table with the name of a partition that is none';

-- What an operator has added to the parent (an index, a trigger) would be missed.
CREATE FUNCTION may_load(parent text) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT NOT loading_lock_is_held(0, 'ShareLock')
        AND (SELECT count(*) FROM pg_index i WHERE i.indrelid = to_regclass(format('%I', parent))) = 1
        AND NOT EXISTS (SELECT FROM pg_trigger t
            WHERE t.tgrelid = to_regclass(format('%I', parent)) AND NOT t.tgisinternal)
$$;
COMMENT ON FUNCTION may_load IS 'True if partitions of that table may be loaded before they are partitions';

CREATE FUNCTION load_partition(parent text, at timestamptz) RETURNS boolean
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
COMMENT ON FUNCTION load_partition IS 'Makes the table that takes the rows of a partition that is not there, if need be, and notes that this session fills it. False if the partition is there, or had to be made at once: rows go into it. In the table, follows is true for rows that are not the first of their message.';

CREATE FUNCTION end_loading(loading text) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_unlock_shared(loading_lock_class(), hashtext(loading))
$$;
COMMENT ON FUNCTION end_loading IS 'This session, which called load_partition(), adds no more rows to that table';

-- Rows that are there more than once: the one that was received first stays. (Its place does not say
-- which was stored first: a later one may go to a page that has room.)
CREATE FUNCTION drop_repeated(loading text) RETURNS bigint
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
COMMENT ON FUNCTION drop_repeated IS 'Removes repeated rows from a table that is being loaded. Returns how many of them were the first of their message';

CREATE FUNCTION index_loaded(loading text) RETURNS bigint
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
COMMENT ON FUNCTION index_loaded IS 'Gives a loaded table its key, without the rows that are there twice. Returns how many messages those were';

CREATE FUNCTION attach_loaded(loading text) RETURNS boolean
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
COMMENT ON FUNCTION attach_loaded IS 'Makes an indexed table the partition it was loaded for. False if there is a table of that name';

-- Some of its blocks at a time: whoever stores the same facts waits for the end of the transaction.
CREATE FUNCTION move_loaded(loading text) RETURNS bigint
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
COMMENT ON FUNCTION move_loaded IS 'Moves some rows of a loaded table into the partition that somebody else has made. Returns how many messages were there already';

CREATE FUNCTION finish_loading(loading text, OUT state text, OUT duplicates bigint)
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
COMMENT ON FUNCTION finish_loading IS 'One step with a table of loading_partitions, in a transaction of its own. state: indexed or moving = call it again; attached or moved = its rows are visible; busy = a session still fills it; stepping = another session does a step; gone = there is none. duplicates: messages that were there already. Runs as its owner, so that a writer needs no right to create tables.';

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['loading_lock_is_held', 'forbid_loading', 'check_no_table',
        'may_load', 'load_partition', 'end_loading', 'drop_repeated', 'index_loaded',
        'attach_loaded', 'move_loaded', 'finish_loading'] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = %I, pg_temp', name, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %I FROM PUBLIC', name);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        FOREACH name IN ARRAY ARRAY['forbid_loading', 'load_partition', 'end_loading',
            'finish_loading'] LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %I TO ocpp_writer', name);
        END LOOP;
    END IF;
    -- To be read only: the functions above drop and rename what it names, with their owner's rights.
    FOR name IN SELECT rolname FROM pg_roles WHERE rolname IN ('ocpp_writer', 'ocpp_reader') LOOP
        EXECUTE format('GRANT SELECT ON loading_partitions TO %I', name);
    END LOOP;
END $$;
