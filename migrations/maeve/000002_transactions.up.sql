-- Transactions and meter values as MaEVE's.
--
-- MaEVE knows a 1.6 transaction by a UUID that ends in its number, and finds all transactions by
-- their id alone. So there are indexes on the ids, in the table of keys, which has a row for each
-- transaction and says in which partition it is.

CREATE FUNCTION transaction_name(id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN id ~ '^(0|[1-9][0-9]{0,9})$' THEN
        CASE WHEN id::bigint <= 2147483647
            THEN '00000000-0000-0000-0000-0000' || lpad(to_hex(id::bigint), 8, '0')
            ELSE id END
        ELSE id END
$$;
COMMENT ON FUNCTION transaction_name IS 'The id of a 1.6 transaction as MaEVE has it: its number as the end of a UUID; an id that is no such number stays';

CREATE FUNCTION transaction_number(name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN name ~ '^00000000-0000-0000-0000-0000[0-7][0-9a-f]{7}$'
        THEN ('x' || right(name, 8))::bit(32)::integer::text
        ELSE name END
$$;
COMMENT ON FUNCTION transaction_number IS 'What transaction_name() made a name of';

CREATE INDEX maeve_transaction_keys_id ON ocpp.transaction_keys (transaction_id);
CREATE INDEX maeve_transaction_keys_name
    ON ocpp.transaction_keys (maeve.transaction_name(transaction_id));
CREATE INDEX maeve_store_transactions_name
    ON ocpp.store_transactions (maeve.transaction_name(transaction_id));

-- The planner knows how selective an index on an expression is only from its statistics.
ANALYZE ocpp.transaction_keys, ocpp.store_transactions;

CREATE FUNCTION finite(at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE WHEN isfinite(at) THEN at END $$;
COMMENT ON FUNCTION finite IS 'A time; NULL for one that a station''s clock got wrong (-infinity)';

CREATE FUNCTION fitting(value numeric) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN value BETWEEN -2147483648 AND 2147483647 THEN trunc(value)::integer END
$$;
COMMENT ON FUNCTION fitting IS 'The whole part of a number; NULL where MaEVE''s integer cannot hold it';

-- As stations reported them: 1.6, then 2.x; as told through the store, where no station reported
-- anything.
CREATE VIEW transaction_sources AS
SELECT transaction_name(k.transaction_id) AS id, true AS numbered, true AS reported,
    t.charge_station_id, t.transaction_id, t.partition_time, t.id_token,
    'ISO14443' AS id_token_type, t.started_at, t.stopped_at, t.stopped_reason, t.meter_start,
    t.meter_stop, 0 AS updates, t.offline, t.total_cost, t.first_event_at, t.last_event_at,
    t.updated_at
FROM ocpp.transaction_keys k
JOIN ocpp.transactions t ON t.charge_station_id = k.charge_station_id
    AND t.transaction_id = k.transaction_id AND t.partition_time = k.partition_time
WHERE t.ocpp_version = '1.6'
UNION ALL
SELECT k.transaction_id, false, true,
    t.charge_station_id, t.transaction_id, t.partition_time, t.id_token, t.id_token_type,
    t.started_at, t.stopped_at, t.stopped_reason, t.meter_start, t.meter_stop,
    t.seq_no_stop - t.seq_no_start, t.offline, t.total_cost, t.first_event_at, t.last_event_at,
    t.updated_at
FROM ocpp.transaction_keys k
JOIN ocpp.transactions t ON t.charge_station_id = k.charge_station_id
    AND t.transaction_id = k.transaction_id AND t.partition_time = k.partition_time
WHERE t.ocpp_version IS DISTINCT FROM '1.6'
UNION ALL
SELECT transaction_name(s.transaction_id), false, false,
    s.charge_station_id, s.transaction_id, s.started_at, s.id_token, s.id_token_type,
    s.started_at, s.stopped_at, s.stopped_reason, s.meter_start, s.meter_stop,
    s.seq_no_stop - coalesce(s.seq_no_start, 0), s.offline, s.total_cost, s.created_at,
    s.updated_at, s.updated_at
FROM ocpp.store_transactions s
WHERE NOT EXISTS (
    SELECT FROM ocpp.transaction_keys k
    WHERE k.charge_station_id = s.charge_station_id
      AND k.transaction_id IN (s.transaction_id, transaction_number(s.transaction_id)));
COMMENT ON VIEW transaction_sources IS 'What transactions and transaction_meter_values are made of; none of MaEVE''s tables';

CREATE VIEW transactions AS
SELECT t.id::varchar AS id,
    t.charge_station_id::varchar AS charge_station_id,
    coalesce(t.id_token, '')::varchar AS token_uid,
    CASE WHEN t.id_token IS NULL THEN '' ELSE coalesce(t.id_token_type, '') END::varchar
        AS token_type,
    coalesce(fitting(t.meter_start), 0) AS meter_start,
    fitting(t.meter_stop) AS meter_stop,
    utc(b.begun) AS start_timestamp,
    CASE WHEN t.stopped_at IS NOT NULL THEN
        utc(coalesce(finite(t.stopped_at), finite(t.last_event_at), t.updated_at))
    END AS stop_timestamp,
    CASE WHEN t.stopped_at IS NOT NULL THEN coalesce(t.stopped_reason, 'Local') END::varchar
        AS stopped_reason,
    greatest(t.updates, CASE WHEN t.stopped_at IS NULL THEN 0 ELSE 1 END) AS updated_seq_no,
    coalesce(t.offline, false) AS offline,
    utc(b.begun) AS created_at,
    utc(t.updated_at) AS updated_at,
    (CASE WHEN abs(t.total_cost) < 99999999 THEN t.total_cost END)::numeric(12, 4) AS last_cost
FROM transaction_sources t
CROSS JOIN LATERAL (
    SELECT coalesce(finite(t.started_at), finite(t.first_event_at), finite(t.stopped_at),
        t.updated_at) AS begun
) b;
COMMENT ON VIEW transactions IS 'ocpp.transactions, and what was told through the store of others. Times, meters and reasons are the stations''; start_timestamp without a start is the first that is known. An insert or update tells the store, and shows where no station reported the transaction.';
COMMENT ON COLUMN transactions.id IS 'Not unique: 2.x stations choose ids themselves, 1.6 ids may repeat';
COMMENT ON COLUMN transactions.meter_start IS 'Wh; 0 = not known, or beyond 32 bits';
COMMENT ON COLUMN transactions.updated_seq_no IS '2.x: events since the start by seqNo; else 1 once it has ended';
ALTER VIEW transactions ALTER offline SET DEFAULT false;
ALTER VIEW transactions ALTER updated_seq_no SET DEFAULT 0;

CREATE FUNCTION sampled_values(sampled numeric[], raw jsonb, layout_id bigint, measurand text[],
    phase text[], context text[], location text[], unit text[], multiplier integer[],
    unstated integer, without jsonb) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'Context', s.context,
        'Location', s.location,
        'Measurand', s.measurand,
        'Phase', s.phase,
        'UnitOfMeasure', CASE WHEN s.unit IS NOT NULL OR s.multiplier IS NOT NULL
            THEN jsonb_build_object('Unit', coalesce(s.unit, ''),
                'Multipler', coalesce(s.multiplier, unstated)) END,
        'Value', s.value) ORDER BY s.position), without)
    FROM (
        SELECT p.position, p.value, p.measurand, p.phase, p.context, p.location, p.unit,
            p.multiplier
        FROM unnest(sampled, measurand, phase, context, location, unit, multiplier)
            WITH ORDINALITY
            AS p (value, measurand, phase, context, location, unit, multiplier, position)
        WHERE layout_id <> 0
        UNION ALL
        SELECT p.position, sampled[p.position], p.sample ->> 'measurand', p.sample ->> 'phase',
            p.sample ->> 'context', p.sample ->> 'location',
            coalesce(p.sample #>> '{unitOfMeasure,unit}', p.sample ->> 'unit'),
            CASE WHEN p.sample #>> '{unitOfMeasure,multiplier}' ~ '^-?[0-9]{1,5}$'
                THEN (p.sample #>> '{unitOfMeasure,multiplier}')::integer END
        FROM jsonb_array_elements(CASE WHEN layout_id = 0
                AND jsonb_typeof(raw -> 'samples') = 'array' THEN raw -> 'samples' END)
            WITH ORDINALITY AS p (sample, position)
    ) s
    WHERE s.value BETWEEN -1e300 AND 1e300
$$;
COMMENT ON FUNCTION sampled_values IS 'Sampled values in MaEVE''s form. What is no number (signed data) it cannot hold. unstated: Multipler beside a unit without one; without: for an empty list';

CREATE FUNCTION one_sample(context text, value numeric) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN value BETWEEN -1e300 AND 1e300 THEN jsonb_build_array(jsonb_build_object(
        'Context', context, 'Location', 'Outlet', 'Measurand', 'Energy.Active.Import.Register',
        'Phase', NULL, 'UnitOfMeasure', jsonb_build_object('Unit', 'Wh', 'Multipler', 1),
        'Value', value))
        ELSE 'null' END
$$;
COMMENT ON FUNCTION one_sample IS 'The reading of a start or end in MaEVE''s form; null = an empty list';

-- MaEVE shows times and meters of a transaction by its first and last meter value, and expects one.
-- So the readings of StartTransaction and StopTransaction, which are no meter values, are rows too,
-- and so are starts and ends without a reading.
CREATE VIEW transaction_meter_values AS
SELECT v.id,
    t.id::varchar AS transaction_id,
    utc(v.at) AS "timestamp",
    v.sampled_values,
    utc(v.received_at) AS created_at
FROM transaction_sources t
CROSS JOIN LATERAL (
    SELECT m.digest AS id, m.event_time AS at, m.received_at,
        sampled_values(m.sampled, m.raw, m.layout_id, l.measurand, l.phase, l.context,
            l.location, l.unit, l.multiplier, CASE WHEN t.numbered THEN 1 ELSE 0 END, 'null')
            AS sampled_values
    FROM ocpp.meter_values m
    LEFT JOIN ocpp.meter_value_layouts l ON l.layout_id = m.layout_id
    WHERE t.reported
      AND m.charge_station_id = t.charge_station_id
      AND m.transaction_id = t.transaction_id
      AND m.event_time >= t.partition_time - interval '1 day'
      AND m.event_time <= CASE WHEN isfinite(t.stopped_at)
          THEN greatest(t.stopped_at, t.last_event_at) + interval '1 day' ELSE 'infinity' END
      AND m.event_time > '-infinity'
      -- StopTransaction.transactionData repeats what was sent before.
      AND (m.source <> 'S' OR NOT EXISTS (
          SELECT FROM ocpp.meter_values o
          WHERE o.charge_station_id = m.charge_station_id
            AND o.event_time = m.event_time
            AND o.transaction_id = m.transaction_id
            AND o.source <> 'S'
            AND o.layout_id = m.layout_id
            AND o.sampled = m.sampled))
    UNION ALL
    SELECT id_of(encode(s.digest, 'hex')), s.event_time, s.event_time,
        sampled_values(ARRAY(
                SELECT CASE WHEN e.sample ->> 'value' ~ '^-?[0-9]{1,60}([.][0-9]{1,60})?$'
                    THEN (e.sample ->> 'value')::numeric END
                FROM jsonb_array_elements(CASE jsonb_typeof(s.sampled_value)
                    WHEN 'array' THEN s.sampled_value END) WITH ORDINALITY AS e (sample, n)
                ORDER BY e.n),
            jsonb_build_object('samples', s.sampled_value), 0, NULL, NULL, NULL, NULL, NULL, NULL,
            0, 'null')
    FROM ocpp.store_transaction_values s
    WHERE NOT t.reported
      AND s.charge_station_id = t.charge_station_id
      AND s.transaction_id = t.transaction_id
    UNION ALL
    SELECT id_of(t.charge_station_id || '/' || t.id || '/start'), b.begun, b.begun,
        one_sample('Transaction.Begin', t.meter_start)
    FROM (
        SELECT coalesce(finite(t.started_at), finite(t.first_event_at), t.updated_at) AS begun
    ) b
    WHERE (t.numbered OR t.meter_start IS NULL)
      AND (t.started_at IS NOT NULL OR t.stopped_at IS NULL)
    UNION ALL
    SELECT id_of(t.charge_station_id || '/' || t.id || '/stop'), e.ended, e.ended,
        one_sample('Transaction.End', t.meter_stop)
    FROM (
        SELECT coalesce(finite(t.stopped_at), finite(t.last_event_at), t.updated_at) AS ended
    ) e
    WHERE (t.numbered OR t.meter_stop IS NULL)
      AND t.stopped_at IS NOT NULL
) v;
COMMENT ON VIEW transaction_meter_values IS 'Meter values of transactions, and the readings of their starts and ends';

CREATE VIEW meter_values AS
SELECT m.digest AS id,
    m.charge_station_id::varchar AS charge_station_id,
    m.evse_id,
    CASE m.source WHEN 'E' THEN m.transaction_id
        ELSE transaction_name(m.transaction_id) END::varchar AS transaction_id,
    utc(coalesce(finite(m.event_time), m.received_at)) AS "timestamp",
    sampled_values(m.sampled, m.raw, m.layout_id, l.measurand, l.phase, l.context, l.location,
        l.unit, l.multiplier, CASE WHEN m.source = 'S' OR (m.source = 'M'
            AND m.transaction_id IS NOT NULL) THEN 1 ELSE 0 END, '[]') AS sampled_values,
    utc(m.received_at) AS received_at
FROM ocpp.meter_values m
LEFT JOIN ocpp.meter_value_layouts l ON l.layout_id = m.layout_id;
COMMENT ON VIEW meter_values IS 'ocpp.meter_values. Ask for one station; the newest of one or by time are quicker there, by event_time.';

-- What a CSMS tells of transactions goes into the store, under the id that the station knows, so
-- that what the station reports itself takes its place.
CREATE FUNCTION write_transaction() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.id, NEW.charge_station_id) <> (OLD.id, OLD.charge_station_id) THEN
        RAISE EXCEPTION 'the key of a row of "%" cannot be changed', TG_TABLE_NAME
            USING ERRCODE = 'feature_not_supported';
    END IF;
    INSERT INTO ocpp.store_transactions AS t (charge_station_id, transaction_id, id_token,
        id_token_type, started_at, stopped_at, stopped_reason, meter_start, meter_stop,
        seq_no_start, seq_no_stop, offline, total_cost)
    VALUES (NEW.charge_station_id, maeve.transaction_number(NEW.id), nullif(NEW.token_uid, ''),
        nullif(NEW.token_type, ''), NEW.start_timestamp AT TIME ZONE 'UTC',
        NEW.stop_timestamp AT TIME ZONE 'UTC', NEW.stopped_reason, NEW.meter_start,
        NEW.meter_stop, 0, CASE WHEN NEW.stop_timestamp IS NOT NULL THEN NEW.updated_seq_no END,
        NEW.offline, NEW.last_cost)
    ON CONFLICT (charge_station_id, transaction_id) DO UPDATE
    SET id_token = coalesce(t.id_token, excluded.id_token),
        id_token_type = coalesce(t.id_token_type, excluded.id_token_type),
        started_at = coalesce(t.started_at, excluded.started_at),
        stopped_at = coalesce(excluded.stopped_at, t.stopped_at),
        stopped_reason = coalesce(excluded.stopped_reason, t.stopped_reason),
        meter_start = coalesce(t.meter_start, excluded.meter_start),
        meter_stop = coalesce(excluded.meter_stop, t.meter_stop),
        seq_no_stop = coalesce(excluded.seq_no_stop, t.seq_no_stop),
        offline = coalesce(t.offline, excluded.offline),
        total_cost = coalesce(excluded.total_cost, t.total_cost),
        updated_at = now();
    SELECT * INTO NEW FROM maeve.transactions v
    WHERE v.id = NEW.id AND v.charge_station_id = NEW.charge_station_id
    LIMIT 1;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION write_transaction IS 'For triggers: tells the store of a transaction';

CREATE FUNCTION write_transaction_values() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
DECLARE
    known record;
    samples jsonb;
BEGIN
    SELECT s.charge_station_id, s.transaction_id INTO known
    FROM maeve.transaction_sources s
    WHERE s.id = NEW.transaction_id
    ORDER BY s.updated_at DESC
    LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no transaction "%"', NEW.transaction_id
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'context', e.sample -> 'Context',
        'location', e.sample -> 'Location',
        'measurand', e.sample -> 'Measurand',
        'phase', e.sample -> 'Phase',
        'unitOfMeasure', CASE jsonb_typeof(e.sample -> 'UnitOfMeasure') WHEN 'object' THEN
            jsonb_build_object('unit', e.sample #> '{UnitOfMeasure,Unit}',
                'multiplier', e.sample #> '{UnitOfMeasure,Multipler}') END,
        'value', e.sample -> 'Value')) ORDER BY e.n), '[]')
    INTO samples
    FROM jsonb_array_elements(CASE jsonb_typeof(NEW.sampled_values)
        WHEN 'array' THEN NEW.sampled_values END) WITH ORDINALITY AS e (sample, n);
    INSERT INTO ocpp.store_transaction_values (charge_station_id, transaction_id, event_time,
        digest, sampled_value)
    VALUES (known.charge_station_id, known.transaction_id, NEW."timestamp" AT TIME ZONE 'UTC',
        sha256(convert_to(samples::text, 'UTF8')), samples)
    ON CONFLICT DO NOTHING;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION write_transaction_values IS 'For triggers: tells the store of meter values of a transaction';

REVOKE EXECUTE ON FUNCTION write_transaction, write_transaction_values FROM PUBLIC;

CREATE TRIGGER write INSTEAD OF INSERT OR UPDATE ON transactions
    FOR EACH ROW EXECUTE FUNCTION write_transaction();
CREATE TRIGGER write INSTEAD OF INSERT ON transaction_meter_values
    FOR EACH ROW EXECUTE FUNCTION write_transaction_values();

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        GRANT SELECT ON transaction_sources, transactions, transaction_meter_values, meter_values
            TO ocpp_writer;
        GRANT INSERT, UPDATE ON transactions TO ocpp_writer;
        GRANT INSERT ON transaction_meter_values TO ocpp_writer;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        GRANT SELECT ON transaction_sources, transactions, transaction_meter_values, meter_values
            TO ocpp_reader;
    END IF;
END $$;
