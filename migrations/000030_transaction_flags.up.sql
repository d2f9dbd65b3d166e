-- Meter values of OCPP 1.6 name their transaction without being events of it. What is odd about them
-- reaches its session from here: rows only of values that have flags, which few do.

CREATE TABLE transaction_flags (
    charge_station_id text COLLATE "C" NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    evse_id integer NOT NULL,
    flags integer NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_station_id, transaction_id, event_time, evse_id, flags)
);
CREATE INDEX transaction_flags_event_time ON transaction_flags (event_time);
COMMENT ON TABLE transaction_flags IS 'What is odd about meter values of OCPP 1.6 that name a transaction; waits here for it, and tells the sessions of an id apart that was used again. Rows older than all partitions of transactions are removed.';
COMMENT ON COLUMN transaction_flags.charge_station_id IS 'Charge station';
COMMENT ON COLUMN transaction_flags.transaction_id IS 'As the station wrote it';
COMMENT ON COLUMN transaction_flags.event_time IS 'Of the meter values; when they were received, where they have no valid time';
COMMENT ON COLUMN transaction_flags.evse_id IS 'Of the meter values: their connector; -1 = not stated';
COMMENT ON COLUMN transaction_flags.flags IS 'Of the meter values; see flag_names()';
COMMENT ON COLUMN transaction_flags.stored_at IS 'When it was stored here';
SELECT grant_table('transaction_flags');

COMMENT ON COLUMN transaction_events.readings IS 'Readings of the energy register among the sampled values of the event that may be the first (start) or last (stop) of its transaction: rank, digest of the location (0 = outlet), microseconds since 1970, Wh; and the flags of its values that it does not have itself. For the program.';

-- As before, and what has outlived its transactions by a week.
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
COMMENT ON FUNCTION prune_transaction_keys IS 'Removes keys of transactions whose partition was dropped, and flags of meter values older than all partitions, at most so many of each; returns how many. The program calls it every minute.';
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION prune_transaction_keys SET search_path = %I, pg_temp',
        current_schema());
END $$;

-- Values that are signed, and an object in place of a list, are oddities of writing, too.
DO $$
DECLARE
    before text := pg_get_viewdef('suspicious_sessions'::regclass);
    after text := replace(before, '(~ 19)', '(~ 24595)');
BEGIN
    IF after = before THEN
        RAISE EXCEPTION 'suspicious_sessions is not the view of migration 21';
    END IF;
    EXECUTE 'CREATE OR REPLACE VIEW suspicious_sessions AS ' || after;
END $$;
