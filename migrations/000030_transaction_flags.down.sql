DO $$
BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW suspicious_sessions AS '
        || replace(pg_get_viewdef('suspicious_sessions'::regclass), '(~ 24595)', '(~ 19)');
END $$;

CREATE OR REPLACE FUNCTION prune_transaction_keys(rows_max integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    at timestamptz := '-infinity';
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
    RETURN removed;
END $$;
COMMENT ON FUNCTION prune_transaction_keys IS 'Removes keys of transactions whose partition was dropped, at most so many; returns how many. The program calls it every minute.';
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION prune_transaction_keys SET search_path = %I, pg_temp',
        current_schema());
END $$;

COMMENT ON COLUMN transaction_events.readings IS 'Readings of the energy register among the sampled values of the event that may be the first (start) or last (stop) of its transaction: rank, digest of the location (0 = outlet), microseconds since 1970, Wh. For the program.';
DROP TABLE transaction_flags;
