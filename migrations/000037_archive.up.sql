-- Keys of transactions are kept for as long as their rows exist anywhere: in a partition, whatever its
-- name (pg_partman has names of its own), or in a table that is retired but not yet dropped, since its
-- partition file needs them.

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
    -- By their bounds, as partition_list() has them, but without measuring the size of each.
    SELECT min(b.bounds[1]::timestamptz) FILTER (WHERE b.bounds[1]::timestamptz > '-infinity')
    INTO oldest
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL regexp_match(replace(pg_get_expr(c.relpartbound, c.oid), 'MINVALUE',
        '''-infinity'''), 'FROM \(''([^'']+)''\)') AS b (bounds)
    WHERE i.inhparent = 'transactions'::regclass;
    DELETE FROM transaction_flags WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM transaction_flags f
        WHERE f.event_time < oldest AND f.stored_at < now() - interval '7 days'
        ORDER BY f.event_time LIMIT rows_max FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS more = ROW_COUNT;
    RETURN removed + more;
END $$;

CREATE FUNCTION has_transactions(name text, from_time timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    -- Also one that was detached and kept its name.
    IF to_regclass(format('%I', name)) IS NOT NULL OR partition_exists('transactions', name) THEN
        RETURN true;
    END IF;
    RETURN EXISTS (SELECT FROM partition_list() l WHERE l.parent = 'transactions'
        AND l.from_time = has_transactions.from_time AND l.state = 'retired');
END $$;
COMMENT ON FUNCTION has_transactions IS 'True if rows of transactions of that month exist anywhere: in a partition, or in a table that was one';

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['prune_transaction_keys', 'has_transactions'] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END $$;
