-- Who may write what a function of its owner trusts, and what such a function takes for ours.
--
-- Functions that run with their owner's rights (SECURITY DEFINER) act on tables by name. Two things
-- make that safe. Only migrations write the tables that name others (partitioned_tables,
-- loading_partitions): ocpp_writer may read them and no more. And a name is looked up in our schema
-- alone, among permanent tables of the owner of these functions: a temporary table, or one that
-- somebody else made, is never taken for ours, whatever is written about it. Otherwise an index, a
-- trigger or a view of a writer's own would run with the owner's rights.
--
-- Names in these functions are qualified (@ is our schema, {schema} the same within quotes), and
-- their search_path has nothing that others can write. pg_temp stands at its end, since it is
-- searched first where it is not named.

DO $migration$
DECLARE
    definition text;
BEGIN
    FOREACH definition IN ARRAY ARRAY[$sql$

CREATE FUNCTION @.trusted_owners() RETURNS SETOF oid
LANGUAGE sql STABLE AS $$
    SELECT p.proowner FROM pg_proc p
    WHERE p.pronamespace = '{schema}'::regnamespace
      AND p.proname IN ('ensure_partition', 'load_partition', 'trusted_owners')
    UNION
    SELECT c.relowner FROM pg_class c WHERE c.oid = '{schema}.partitioned_tables'::regclass
$$

$sql$, $sql$

CREATE FUNCTION @.own_table(name text) RETURNS regclass
LANGUAGE plpgsql STABLE AS $$
DECLARE
    t record;
BEGIN
    SELECT c.oid::regclass AS id, c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
        AND c.relowner IN (SELECT @.trusted_owners()) AS ours
    INTO t
    FROM pg_class c
    WHERE c.relnamespace = '{schema}'::regnamespace AND c.relname = own_table.name;
    IF t.ours IS FALSE THEN
        RAISE EXCEPTION '"%" is no table that a migration made', name
            USING ERRCODE = 'insufficient_privilege',
                HINT = 'give it to the owner of schema {schema} (ALTER TABLE ... OWNER TO), or drop it';
    END IF;
    RETURN t.id;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.partition_of(parent text, at timestamptz,
    OUT name text, OUT lower_bound timestamptz, OUT upper_bound timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    unit text;
BEGIN
    SELECT p.step INTO unit FROM @.partitioned_tables p WHERE p.table_name = parent;
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
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.partition_exists(parent text, name text) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
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

-- As it was: somebody detached it, perhaps to look at it. The program knows this code.
CREATE OR REPLACE FUNCTION @.check_no_table(name text, parent text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = '{schema}'::regnamespace
            AND c.relname = check_no_table.name) AND NOT @.partition_exists(parent, name) THEN
        RAISE EXCEPTION 'table "%" is where it belongs, but is no partition of "%"', name, parent
            USING ERRCODE = 'OC001',
                HINT = 'attach it again, or move it to another schema, or drop it';
    END IF;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.ensure_partition(parent text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
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

$sql$, $sql$

CREATE FUNCTION @.grant_partition(name text, parent text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s.%I TO ocpp_writer', '{schema}', name);
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        EXECUTE format('GRANT SELECT ON %s.%I TO ocpp_reader', '{schema}', name);
    END IF;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.loading_lock_is_held(key integer, lock_mode text,
    pid integer DEFAULT NULL) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT EXISTS (
        SELECT FROM pg_locks l
        WHERE l.locktype = 'advisory' AND l.granted AND l.mode = lock_mode
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND l.classid = (@.loading_lock_class()::bigint & 4294967295)::oid
          AND l.objid = (loading_lock_is_held.key::bigint & 4294967295)::oid AND l.objsubid = 2
          AND (loading_lock_is_held.pid IS NULL OR l.pid = loading_lock_is_held.pid))
$$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.forbid_loading() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    name text;
BEGIN
    -- Waits for those that have just been allowed to load.
    PERFORM pg_advisory_lock_shared(@.loading_lock_class(), 0);
    SELECT p.table_name INTO name FROM @.loading_partitions p ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        PERFORM pg_advisory_unlock_shared(@.loading_lock_class(), 0);
        RAISE EXCEPTION 'rows of another replay wait in table "%"', name
            USING ERRCODE = 'OC003', HINT = 'they are visible when that replay is over';
    END IF;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.may_load(parent text) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT NOT @.loading_lock_is_held(0, 'ShareLock')
        AND (SELECT count(*) FROM pg_index i WHERE i.indrelid = @.own_table(parent)) = 1
        AND NOT EXISTS (SELECT FROM pg_trigger t
            WHERE t.tgrelid = @.own_table(parent) AND NOT t.tgisinternal)
$$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.load_partition(parent text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
DECLARE
    part record;
    loading text;
    load @.loading_partitions;
BEGIN
    SELECT * INTO part FROM @.partition_of(parent, at);
    loading := part.name || '_loading';
    IF @.partition_exists(parent, part.name) THEN
        RETURN false;
    END IF;
    PERFORM @.check_no_table(part.name, parent);
    IF NOT @.may_load(parent) THEN
        PERFORM @.ensure_partition(parent, at);
        RETURN false;
    END IF;
    -- Waits while a step is under way. A session that has it already takes it no second time.
    IF NOT @.loading_lock_is_held(hashtext(loading), 'ShareLock', pg_backend_pid()) THEN
        PERFORM pg_advisory_lock_shared(@.loading_lock_class(), hashtext(loading));
    END IF;
    SELECT * INTO load FROM @.loading_partitions p WHERE p.table_name = loading;
    IF FOUND AND @.own_table(loading) IS NULL THEN
        RAISE WARNING 'table "%" was dropped with the rows it had', loading;
        DELETE FROM @.loading_partitions p WHERE p.table_name = loading;
    ELSIF load.indexed THEN
        PERFORM @.attach_loaded(loading); -- whoever indexed it was interrupted
    END IF;
    IF @.partition_exists(parent, part.name) THEN
        PERFORM @.end_loading(loading);
        RETURN false;
    END IF;
    -- Two that make it, or one that makes it and one that forbids it.
    PERFORM pg_advisory_xact_lock(@.loading_lock_class(), 0);
    IF EXISTS (SELECT FROM @.loading_partitions p WHERE p.table_name = loading) THEN
        -- Its partition came and went while it was moved there: what is added may go to the blocks
        -- that were done with.
        UPDATE @.loading_partitions p SET blocks_moved = 0
        WHERE p.table_name = loading AND p.blocks_moved > 0;
        RETURN true;
    END IF;
    EXECUTE format('CREATE TABLE %6$s.%1$I (LIKE %2$s INCLUDING ALL EXCLUDING INDEXES, '
        'follows boolean, CONSTRAINT loading_bounds CHECK (%3$I >= %4$L AND %3$I < %5$L))',
        loading, @.own_table(parent),
        (SELECT t.time_column FROM @.partitioned_tables t WHERE t.table_name = parent),
        part.lower_bound, part.upper_bound, '{schema}');
    PERFORM @.grant_partition(loading, parent);
    INSERT INTO @.loading_partitions (table_name, parent, lower_bound)
    VALUES (loading, parent, part.lower_bound);
    RETURN true;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.end_loading(loading text) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_unlock_shared(@.loading_lock_class(), hashtext(loading))
$$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.drop_repeated(loading text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    messages bigint;
BEGIN
    EXECUTE format('
        WITH copies AS (
            SELECT ctid AS place, row_number() OVER (
                PARTITION BY charge_station_id, event_time, evse_id, digest
                ORDER BY received_at, ctid) AS n
            FROM %1$s
        ), gone AS (
            DELETE FROM %1$s l USING copies c
            WHERE c.n > 1 AND l.ctid = c.place
            RETURNING l.follows
        )
        SELECT count(*) FILTER (WHERE follows IS NULL) FROM gone', @.own_table(loading))
    INTO messages;
    RETURN messages;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.index_loaded(loading text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    add_key text := format('ALTER TABLE %s ADD CONSTRAINT %I '
        'PRIMARY KEY (charge_station_id, event_time, evse_id, digest)', @.own_table(loading),
        loading || '_pkey');
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
        duplicates := @.drop_repeated(loading);
        EXECUTE add_key;
    END;
    UPDATE @.loading_partitions SET indexed = true WHERE table_name = loading;
    RETURN duplicates;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.attach_loaded(loading text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    load @.loading_partitions;
    part record;
    loaded regclass;
BEGIN
    SELECT * INTO load FROM @.loading_partitions WHERE table_name = loading FOR UPDATE;
    IF NOT FOUND OR NOT load.indexed THEN
        RETURN false;
    END IF;
    loaded := @.own_table(loading);
    -- Whoever reads it (a backup) is waited for before the live stream has to wait for us.
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', loaded);
    PERFORM set_config('lock_timeout', '2s', true);
    SELECT * INTO part FROM @.partition_of(load.parent, load.lower_bound);
    PERFORM pg_advisory_xact_lock(hashtext('ocpp-persister partition'), hashtext(part.name));
    IF EXISTS (SELECT FROM pg_class c
            WHERE c.relnamespace = '{schema}'::regnamespace AND c.relname = part.name) THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER TABLE %s DROP COLUMN follows', loaded);
    EXECUTE format('ALTER TABLE %s RENAME TO %I', loaded, part.name);
    EXECUTE format('ALTER INDEX %s.%I RENAME TO %I', '{schema}', loading || '_pkey', part.name || '_pkey');
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
        @.own_table(load.parent), loaded, part.lower_bound, part.upper_bound);
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT loading_bounds', loaded);
    DELETE FROM @.loading_partitions WHERE table_name = loading;
    RETURN true;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.move_loaded(loading text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    blocks CONSTANT bigint := 500;
    load @.loading_partitions;
    parent_table regclass;
    columns text;
    duplicates bigint;
BEGIN
    SELECT * INTO load FROM @.loading_partitions WHERE table_name = loading;
    parent_table := @.own_table(load.parent);
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO columns
    FROM pg_attribute a
    WHERE a.attrelid = parent_table AND a.attnum > 0 AND NOT a.attisdropped;
    EXECUTE format('
        WITH loaded AS (
            SELECT *, row_number() OVER (
                PARTITION BY charge_station_id, event_time, evse_id, digest
                ORDER BY received_at, ctid) AS n
            FROM %1$s WHERE ctid >= %3$L::tid AND ctid < %4$L::tid
        ), stored AS (
            INSERT INTO %2$s (%5$s) SELECT %5$s FROM loaded WHERE n = 1
            ORDER BY charge_station_id, event_time, evse_id, digest
            ON CONFLICT (charge_station_id, event_time, evse_id, digest) DO NOTHING
            RETURNING charge_station_id, event_time, evse_id, digest
        )
        SELECT count(*) FROM loaded l
        LEFT JOIN stored s USING (charge_station_id, event_time, evse_id, digest)
        WHERE l.follows IS NULL AND (l.n > 1 OR s.digest IS NULL)',
        @.own_table(loading), parent_table, format('(%s,0)', load.blocks_moved),
        format('(%s,0)', load.blocks_moved + blocks), columns) INTO duplicates;
    UPDATE @.loading_partitions SET blocks_moved = load.blocks_moved + blocks
    WHERE table_name = loading;
    RETURN duplicates;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.finish_loading(loading text, OUT state text, OUT duplicates bigint)
LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
DECLARE
    load @.loading_partitions;
    part record;
    loaded regclass;
BEGIN
    duplicates := 0;
    IF NOT pg_try_advisory_xact_lock(@.loading_lock_class(), hashtext(loading)) THEN
        state := CASE WHEN @.loading_lock_is_held(hashtext(loading), 'ExclusiveLock')
            THEN 'stepping' ELSE 'busy' END;
        RETURN;
    END IF;
    -- After a load_partition() that attaches it just now.
    SELECT * INTO load FROM @.loading_partitions WHERE table_name = loading FOR UPDATE;
    IF NOT FOUND THEN
        state := 'gone';
        RETURN;
    END IF;
    loaded := @.own_table(loading);
    IF loaded IS NULL THEN
        RAISE WARNING 'table "%" was dropped with the rows it had', loading;
        DELETE FROM @.loading_partitions WHERE table_name = loading;
        state := 'gone';
        RETURN;
    END IF;
    SELECT * INTO part FROM @.partition_of(load.parent, load.lower_bound);
    IF @.partition_exists(load.parent, part.name) THEN
        IF load.blocks_moved * current_setting('block_size')::bigint
            < pg_relation_size(loaded) THEN
            duplicates := @.move_loaded(loading);
            state := 'moving';
        ELSE
            EXECUTE format('DROP TABLE %s', loaded);
            DELETE FROM @.loading_partitions WHERE table_name = loading;
            state := 'moved';
        END IF;
    ELSIF NOT load.indexed THEN
        duplicates := @.index_loaded(loading);
        state := 'indexed';
    ELSIF @.attach_loaded(loading) THEN
        state := 'attached';
    ELSE
        PERFORM @.check_no_table(part.name, load.parent);
        state := 'moving';
    END IF;
END $$

$sql$, $sql$

-- What must not be so, as statements to run: a grant by somebody else is not ours to take back.
CREATE FUNCTION @.rights_problems(OUT problem text, OUT remedy text) RETURNS SETOF record
LANGUAGE sql STABLE AS $$
    SELECT format('%s may %s %s, which functions with the rights of their owner trust', w.who,
            string_agg(lower(w.privilege), ', ' ORDER BY w.privilege), w.name),
        format('REVOKE %s ON %s FROM %s; (as role %s)',
            string_agg(w.privilege, ', ' ORDER BY w.privilege), w.name, w.who, w.grantor)
    FROM (
        SELECT c.oid::regclass AS name, a.privilege_type AS privilege,
            quote_ident(pg_get_userbyid(a.grantor)) AS grantor,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
                AS who
        FROM pg_class c
        CROSS JOIN LATERAL aclexplode(c.relacl) a
        WHERE c.relnamespace = '{schema}'::regnamespace
          AND c.relname IN ('partitioned_tables', 'loading_partitions', 'schema_migrations')
          AND a.privilege_type <> 'SELECT'
          AND a.grantee NOT IN (SELECT @.trusted_owners())
          AND a.grantee <> c.relowner
    ) w
    GROUP BY w.name, w.who, w.grantor
    UNION ALL
    SELECT format('%s may create objects in schema %s', w.who, '{schema}'),
        format('REVOKE CREATE ON SCHEMA %s FROM %s; (as role %s)', '{schema}', w.who, w.grantor)
    FROM (
        SELECT quote_ident(pg_get_userbyid(a.grantor)) AS grantor,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
                AS who
        FROM pg_namespace n
        CROSS JOIN LATERAL aclexplode(n.nspacl) a
        WHERE n.oid = '{schema}'::regnamespace AND a.privilege_type = 'CREATE'
          AND a.grantee <> n.nspowner AND a.grantee NOT IN (SELECT @.trusted_owners())
    ) w
    UNION ALL
    SELECT format('%I is a member of %I, which owns tables or functions of schema %s', r.rolname,
            o.rolname, '{schema}'),
        format('REVOKE %I FROM %I;', o.rolname, r.rolname)
    FROM pg_roles r, pg_roles o
    WHERE r.rolname IN ('ocpp_writer', 'ocpp_reader') AND o.oid IN (SELECT @.trusted_owners())
      AND pg_has_role(r.oid, o.oid, 'MEMBER') AND r.oid <> o.oid
    UNION ALL
    SELECT format('%s belongs to %I, but functions that make its partitions run as %I',
            c.oid::regclass, pg_get_userbyid(c.relowner), pg_get_userbyid(f.proowner)),
        format('ALTER TABLE %s OWNER TO %I;', c.oid::regclass, pg_get_userbyid(f.proowner))
    FROM @.partitioned_tables t
    JOIN pg_class c ON c.relname = t.table_name AND c.relnamespace = '{schema}'::regnamespace
    JOIN pg_proc f ON f.pronamespace = '{schema}'::regnamespace AND f.proname = 'ensure_partition'
    WHERE NOT pg_has_role(f.proowner, c.relowner, 'USAGE')
       OR c.relowner NOT IN (SELECT @.trusted_owners())
$$

$sql$] LOOP
        EXECUTE replace(replace(definition, '@', quote_ident(current_schema())), '{schema}',
            replace(quote_ident(current_schema()), '''', ''''''));
    END LOOP;
END $migration$;

COMMENT ON FUNCTION trusted_owners IS 'Who owns what migrations made: tables of others in our schema are not taken for ours';
COMMENT ON FUNCTION own_table IS 'The permanent table of our schema with that name; NULL if there is none. Fails if somebody else made it';
COMMENT ON FUNCTION grant_partition IS 'Gives the roles ocpp_writer and ocpp_reader, where they exist, their rights on a table that takes rows of a partition of parent';
COMMENT ON FUNCTION rights_problems IS 'Rights that let a role become the owner of the schema, each with the statement that takes them back; `migrate status` prints them. No row: all is well';

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['trusted_owners', 'own_table', 'partition_of', 'partition_exists',
        'check_no_table', 'ensure_partition', 'loading_lock_is_held', 'forbid_loading', 'may_load',
        'load_partition', 'end_loading', 'drop_repeated', 'index_loaded', 'attach_loaded',
        'move_loaded', 'finish_loading', 'grant_partition', 'rights_problems'] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = pg_catalog, pg_temp', name);
    END LOOP;
    -- It reads the catalog only, and ensure_partition() may have another owner.
    GRANT EXECUTE ON FUNCTION check_no_table TO PUBLIC;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        REVOKE INSERT, UPDATE, DELETE ON partitioned_tables FROM ocpp_writer;
    END IF;
END $$;

-- What was registered while writers could: a row without a table that we made is of no use.
DO $$
DECLARE
    registered record;
BEGIN
    FOR registered IN
        SELECT p.table_name FROM partitioned_tables p
        WHERE NOT EXISTS (SELECT FROM pg_class c
            WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relname = p.table_name
              AND c.relkind = 'p' AND c.relowner IN (SELECT trusted_owners()))
          AND NOT EXISTS (SELECT FROM loading_partitions l WHERE l.parent = p.table_name)
    LOOP
        RAISE WARNING 'partitioned_tables named "%", which no migration made; the row is removed',
            registered.table_name;
        DELETE FROM partitioned_tables WHERE table_name = registered.table_name;
    END LOOP;
END $$;
