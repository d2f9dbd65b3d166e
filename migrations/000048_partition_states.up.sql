-- Whoever asks which partitions there are reads the catalog only. To measure one takes a lock on it, and so
-- does pg_get_expr() if it is given the table: one partition that somebody had locked (VACUUM FULL, an
-- index of one that is being loaded) kept all waiting that asked for another, and the writer with them.
-- Sizes are for those who show them, and come without waiting.
--
-- A retired table that was restored from a dump is still known as one. And keys of transactions are kept
-- for as long as any table may have rows of their month, also one that took several months, or a part of one.

DO $migration$
DECLARE
    definition text;
BEGIN
    FOREACH definition IN ARRAY ARRAY[$sql$

CREATE FUNCTION @.partition_states(OUT parent text, OUT name text, OUT id oid,
    OUT from_time timestamptz, OUT to_time timestamptz, OUT estimated_rows bigint, OUT state text)
RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
    SET datestyle = 'ISO' AS $$
    WITH attached AS (
        SELECT t.table_name, c.oid, c.relkind,
            coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false) AS pending,
            -- FOR VALUES FROM ('2026-01-31 00:00:00+00') TO (MAXVALUE); DEFAULT has none.
            regexp_match(replace(replace(pg_get_expr(c.relpartbound, 0), 'MINVALUE',
                '''-infinity'''), 'MAXVALUE', '''infinity'''),
                'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') AS bounds
        FROM @.partitioned_tables t
        JOIN pg_class p ON p.relname = t.table_name AND p.relnamespace = '{schema}'::regnamespace
        JOIN pg_inherits i ON i.inhparent = p.oid
        JOIN pg_class c ON c.oid = i.inhrelid
    ), beside AS (
        -- Its number ends the name of a retired table. Restored from a dump it has another one,
        -- and its comment still says what it is.
        SELECT b.*, b.relname ~ ('_retired_' || b.oid || '$')
                OR b.relname ~ '_retired_\d+$' AND b.bounds IS NOT NULL AS is_retired
        FROM (
            SELECT t.table_name, t.step, c.oid, c.relname, regexp_match(substr(c.relname,
                length(t.table_name) + 1), '^_(20\d\d)_(\d\d)(?:_(\d\d))?(?:_|$)') AS suffix,
                -- As retire_partition() writes it.
                regexp_match(obj_description(c.oid, 'pg_class'),
                    '^ocpp-persister: rows from (.+) to (.+)$') AS bounds
            FROM @.partitioned_tables t
            JOIN pg_class c ON c.relnamespace = '{schema}'::regnamespace AND c.relkind = 'r'
                AND NOT c.relispartition AND starts_with(c.relname, t.table_name || '_')) b
    ), listed AS (
        SELECT a.table_name, a.oid, a.bounds[1]::timestamptz AS from_time,
            a.bounds[2]::timestamptz AS to_time,
            CASE WHEN a.pending THEN 'detaching' WHEN a.bounds IS NULL THEN 'default'
                WHEN a.bounds[1]::timestamptz = '-infinity' THEN 'undated'
                WHEN a.relkind = 'p' THEN 'partitioned' WHEN a.relkind = 'f' THEN 'foreign'
                ELSE 'attached' END AS state
        FROM attached a
        UNION ALL
        SELECT b.table_name, b.oid, coalesce(b.bounds[1]::timestamptz, d.from_time),
            coalesce(b.bounds[2]::timestamptz, d.from_time
                + CASE b.step WHEN 'day' THEN interval '1 day' ELSE interval '1 month' END),
            CASE WHEN EXISTS (SELECT FROM @.loading_partitions l WHERE l.table_name = b.relname)
                    THEN 'loading'
                WHEN b.is_retired THEN 'retired'
                ELSE 'detached' END
        FROM beside b, LATERAL (
            -- Whatever the digits are, this is a time.
            SELECT make_timestamptz(b.suffix[1]::integer, 1, 1, 0, 0, 0) + make_interval(
                months => b.suffix[2]::integer - 1,
                days => coalesce(b.suffix[3]::integer, 1) - 1) AS from_time) d
        WHERE b.suffix IS NOT NULL OR b.is_retired
    )
    SELECT l.table_name, CASE WHEN c.relnamespace = '{schema}'::regnamespace THEN c.relname::text
            ELSE c.oid::regclass::text END,
        c.oid, l.from_time, l.to_time,
        CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint ELSE pg_stat_get_live_tuples(c.oid) END,
        CASE WHEN c.relnamespace = '{schema}'::regnamespace THEN l.state ELSE 'elsewhere' END
    FROM listed l JOIN pg_class c ON c.oid = l.oid
$$

$sql$, $sql$

CREATE FUNCTION @.partition_bytes(id oid) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET lock_timeout = '1ms' AS $$
BEGIN
    RETURN pg_total_relation_size(id);
EXCEPTION
    WHEN lock_not_available THEN
        RETURN NULL;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.partition_list(OUT parent text, OUT name text, OUT from_time timestamptz,
    OUT to_time timestamptz, OUT estimated_rows bigint, OUT bytes bigint, OUT state text)
RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.parent, s.name, s.from_time, s.to_time, s.estimated_rows, @.partition_bytes(s.id),
        s.state
    FROM @.partition_states() s
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
    SELECT l.state, l.from_time, l.to_time INTO listed FROM @.partition_states() l
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
    EXECUTE format('COMMENT ON TABLE %s IS %L', part, format('ocpp-persister: rows from %s to %s',
        listed.from_time, listed.to_time));
    RETURN retired;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.drop_retired(name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '2s' AS $$
DECLARE
    retired regclass := @.own_table(name);
BEGIN
    IF retired IS NULL OR NOT EXISTS (SELECT FROM @.partition_states() l
            WHERE l.name = drop_retired.name AND l.state = 'retired') THEN
        RAISE EXCEPTION 'table "%" is no partition that was retired', name
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'partition_list() has those there are';
    END IF;
    EXECUTE format('DROP TABLE %s', retired);
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.partitions_at(parent text, from_time timestamptz, to_time timestamptz,
    OUT id oid, OUT whole boolean) RETURNS SETOF record
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
    SET datestyle = 'ISO' AS $$
BEGIN
    -- FOR VALUES FROM ('2026-01-31 00:00:00+00') TO (MAXVALUE); DEFAULT has none.
    RETURN QUERY
    SELECT b.oid, b.bounds[1]::timestamptz <= from_time AND b.bounds[2]::timestamptz >= to_time
    FROM (
        SELECT c.oid, regexp_match(replace(replace(pg_get_expr(c.relpartbound, 0),
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

    $sql$] LOOP
        EXECUTE replace(replace(definition, '@', quote_ident(current_schema())), '{schema}',
            replace(quote_ident(current_schema()), '''', ''''''));
    END LOOP;
END $migration$;

CREATE OR REPLACE FUNCTION prune_transaction_keys(rows_max integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    at timestamptz := '-infinity';
    oldest timestamptz;
    part record;
    removed bigint := 0;
    more bigint;
BEGIN
    LOOP
        SELECT min(k.partition_time) INTO at FROM transaction_keys k WHERE k.partition_time >= at;
        EXIT WHEN at IS NULL OR removed >= rows_max;
        SELECT * INTO part FROM partition_of('transactions', at);
        IF NOT has_transactions(part.name, part.lower_bound) THEN
            PERFORM pg_advisory_xact_lock(hashtext('ocpp-persister partition'), hashtext(part.name));
            IF NOT has_transactions(part.name, part.lower_bound) THEN
                DELETE FROM transaction_keys WHERE ctid = ANY (ARRAY(
                    SELECT ctid FROM transaction_keys k
                    WHERE k.partition_time >= part.lower_bound
                      AND k.partition_time < part.upper_bound
                    LIMIT rows_max - removed FOR UPDATE SKIP LOCKED));
                GET DIAGNOSTICS more = ROW_COUNT;
                removed := removed + more;
            END IF;
        END IF;
        at := part.upper_bound;
    END LOOP;
    -- By their bounds, as partition_states() has them.
    SELECT min(b.bounds[1]::timestamptz) FILTER (WHERE b.bounds[1]::timestamptz > '-infinity')
    INTO oldest
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL regexp_match(replace(pg_get_expr(c.relpartbound, 0), 'MINVALUE',
        '''-infinity'''), 'FROM \(''([^'']+)''\)') AS b (bounds)
    WHERE i.inhparent = 'transactions'::regclass;
    DELETE FROM transaction_flags WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM transaction_flags f
        WHERE f.event_time < oldest AND f.stored_at < now() - interval '7 days'
        ORDER BY f.event_time LIMIT rows_max FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS more = ROW_COUNT;
    RETURN removed + more;
END $$;

CREATE OR REPLACE FUNCTION has_transactions(name text, from_time timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET lock_timeout = '1ms' AS $$
DECLARE
    month record;
    found_rows boolean;
BEGIN
    -- The usual cases, cheaply: a table of that name, also a detached one, or a partition of the month.
    IF to_regclass(format('%I', name)) IS NOT NULL OR partition_exists('transactions', name) THEN
        RETURN true;
    END IF;
    SELECT * INTO month FROM partition_of('transactions', from_time);
    -- Wherever its table is now, and whichever part of the month it takes.
    IF EXISTS (SELECT FROM partition_states() l
            JOIN pg_partitioned_table t ON t.partrelid = 'transactions'::regclass
            WHERE l.parent = 'transactions' AND l.id <> t.partdefid
              AND coalesce(l.from_time < month.upper_bound AND l.to_time > month.lower_bound, true)) THEN
        RETURN true;
    END IF;
    -- Now only the DEFAULT partition can have rows of the month, if there is one: no other is read.
    EXECUTE 'SELECT EXISTS (SELECT FROM transactions WHERE partition_time >= $1 AND partition_time < $2)'
        INTO found_rows USING month.lower_bound, month.upper_bound;
    RETURN found_rows;
EXCEPTION
    WHEN lock_not_available THEN
        RETURN true; -- it may have
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['prune_transaction_keys', 'has_transactions'] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END $$;

-- What an older version retired says what it is, too, as far as that is known.
DO $$
DECLARE
    retired record;
BEGIN
    FOR retired IN
        SELECT s.name, s.from_time, s.to_time FROM partition_states() s
        WHERE s.state = 'retired' AND s.from_time IS NOT NULL
          AND obj_description(s.id, 'pg_class') IS NULL
    LOOP
        -- As retire_partition() writes it, whatever the session's zone and way of writing times.
        EXECUTE format('COMMENT ON TABLE %I IS %L', retired.name, format(
            'ocpp-persister: rows from %s+00 to %s+00',
            to_char(retired.from_time AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
            to_char(retired.to_time AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')));
    END LOOP;
END $$;

COMMENT ON FUNCTION partition_states IS 'As partition_list(), without sizes: reads the catalog only, so it waits for nobody who has locked a partition';
COMMENT ON FUNCTION partition_bytes IS 'Bytes of a table with its indexes; NULL if somebody has locked it';
COMMENT ON FUNCTION partition_list IS 'Partitions of our tables and tables that were or will be partitions: the time they take, rows (estimated), bytes with indexes (NULL while somebody has locked it), and a state: attached, undated, default, partitioned or foreign (its rows are in other tables), elsewhere (moved to another schema), detaching, detached, loading, retired (detached to be dropped)';
