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
        IF to_regclass(format('%I', part.name)) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtext('ocpp-persister partition'), hashtext(part.name));
            IF to_regclass(format('%I', part.name)) IS NULL THEN
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
    SELECT min((replace(m.month, '_', '-') || '-01 00:00Z')::timestamptz) INTO oldest
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL substring(c.relname FROM '[0-9]{4}_[0-9]{2}$') AS m (month)
    WHERE i.inhparent = 'transactions'::regclass AND m.month IS NOT NULL;
    DELETE FROM transaction_flags WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM transaction_flags f
        WHERE f.event_time < oldest AND f.stored_at < now() - interval '7 days'
        ORDER BY f.event_time LIMIT rows_max FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS more = ROW_COUNT;
    RETURN removed + more;
END $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION prune_transaction_keys SET search_path = %I, pg_temp',
        current_schema());
END $$;
DROP FUNCTION has_transactions(text, timestamptz);
