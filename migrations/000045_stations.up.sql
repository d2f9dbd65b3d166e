-- What is known about each station: when it was heard from, how much it has sent, how far its clock is
-- off. A batch has messages of thousands of stations, and to update a row of each would cost more than
-- to store the messages. So a batch adds one row with arrays to station_changes, which conflicts with
-- nothing, and fold_station_changes() takes all of them into station_activity every minute.

CREATE TABLE station_activity (
    charge_station_id text COLLATE "C" PRIMARY KEY,
    first_message_at timestamptz NOT NULL,
    last_message_at timestamptz NOT NULL,
    messages bigint NOT NULL DEFAULT 0,
    transactions bigint NOT NULL DEFAULT 0,
    counted_from timestamptz,
    firmware_version text,
    firmware_at timestamptz,
    clock_hours timestamptz[],
    clock_offsets_us bigint[]
) WITH (fillfactor = 70); -- rows are updated in their page
COMMENT ON TABLE station_activity IS 'One row per charge station, without what is in station_changes. The view stations is made for reading.';
COMMENT ON COLUMN station_activity.charge_station_id IS 'Charge station';
COMMENT ON COLUMN station_activity.first_message_at IS 'Time of receipt of its first message';
COMMENT ON COLUMN station_activity.last_message_at IS 'Time of receipt of its last message';
COMMENT ON COLUMN station_activity.messages IS 'Messages from it that were stored, each once';
COMMENT ON COLUMN station_activity.transactions IS 'Starts of transactions among them';
COMMENT ON COLUMN station_activity.counted_from IS 'Older messages are not in the counts: they were stored before there was this table; NULL = all are';
COMMENT ON COLUMN station_activity.firmware_version IS 'Of its last BootNotification that named one';
COMMENT ON COLUMN station_activity.firmware_at IS 'When that one was received';
COMMENT ON COLUMN station_activity.clock_hours IS 'The last three hours in which live messages with a time of their own were received, the last one first';
COMMENT ON COLUMN station_activity.clock_offsets_us IS 'In each of these hours the most that a message''s own time was after its receipt, in microseconds: messages that came late do not count';
SELECT grant_table('station_activity');

CREATE TABLE station_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stations integer NOT NULL,
    charge_station_id text[] COLLATE "C" NOT NULL,
    first_at timestamptz[] NOT NULL,
    last_at timestamptz[] NOT NULL,
    messages integer[] NOT NULL,
    transactions integer[] NOT NULL,
    clock_offset_us bigint[] NOT NULL,
    booted text[] COLLATE "C" NOT NULL DEFAULT '{}',
    firmware_version text[] COLLATE "C" NOT NULL DEFAULT '{}',
    firmware_at timestamptz[] NOT NULL DEFAULT '{}'
);
-- They live for a minute: to compress them costs more than to write them.
ALTER TABLE station_changes
    ALTER charge_station_id SET STORAGE EXTERNAL, ALTER first_at SET STORAGE EXTERNAL,
    ALTER last_at SET STORAGE EXTERNAL, ALTER messages SET STORAGE EXTERNAL,
    ALTER transactions SET STORAGE EXTERNAL, ALTER clock_offset_us SET STORAGE EXTERNAL;
COMMENT ON TABLE station_changes IS 'What batches have added to station_activity since the last fold_station_changes(); one row per batch, an element per station';
COMMENT ON COLUMN station_changes.id IS 'Some number';
COMMENT ON COLUMN station_changes.stations IS 'Elements of each of the arrays up to clock_offset_us';
COMMENT ON COLUMN station_changes.charge_station_id IS 'Charge stations; one that sent messages in several hours is there for each of them';
COMMENT ON COLUMN station_changes.first_at IS 'Time of receipt of its first message; NULL = none, the counts are corrected';
COMMENT ON COLUMN station_changes.last_at IS 'Time of receipt of its last message';
COMMENT ON COLUMN station_changes.messages IS 'How many were stored; negative: so many turned out to be repeats';
COMMENT ON COLUMN station_changes.transactions IS 'Starts of transactions among them';
COMMENT ON COLUMN station_changes.clock_offset_us IS 'The most that a message''s own time was after its receipt, in microseconds; NULL = not known';
COMMENT ON COLUMN station_changes.booted IS 'Charge stations whose BootNotifications named a firmware';
COMMENT ON COLUMN station_changes.firmware_version IS 'Of the last of these';
COMMENT ON COLUMN station_changes.firmware_at IS 'When that one was received';
SELECT grant_table('station_changes');

-- Only one session folds at a time, so that nobody waits for anybody. What is merged depends neither on
-- the order of the rows nor on how many of them are folded at once.
CREATE FUNCTION fold_station_changes(stations_max bigint DEFAULT 1000000) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    folded bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('ocpp-persister stations'), 0) THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        DELETE FROM station_changes WHERE id IN (
            SELECT s.id FROM (
                SELECT c.id, sum(c.stations) OVER (ORDER BY c.id) - c.stations AS before
                FROM station_changes c
            ) s
            WHERE s.before < stations_max)
        RETURNING *
    ), changes AS (
        -- Together in a select list: as functions in FROM they would take three times as long.
        SELECT unnest(g.charge_station_id) AS charge_station_id, unnest(g.first_at) AS first_at,
            unnest(g.last_at) AS last_at, unnest(g.messages) AS messages,
            unnest(g.transactions) AS transactions, unnest(g.clock_offset_us) AS clock_offset_us
        FROM gone g
    ), hourly AS (
        SELECT c.charge_station_id, date_bin('1 hour', c.last_at, '2000-01-01T00:00Z') AS hour,
            min(c.first_at) AS first_at, max(c.last_at) AS last_at, sum(c.messages) AS messages,
            sum(c.transactions) AS transactions, max(c.clock_offset_us) AS clock_offset_us
        FROM changes c
        GROUP BY c.charge_station_id, hour
    ), sums AS (
        SELECT h.charge_station_id, min(h.first_at) AS first_at, max(h.last_at) AS last_at,
            sum(h.messages) AS messages, sum(h.transactions) AS transactions
        FROM hourly h
        GROUP BY h.charge_station_id
    ), firmware AS (
        SELECT DISTINCT ON (u.charge_station_id) u.charge_station_id, u.firmware_version,
            u.firmware_at
        FROM gone g
        CROSS JOIN LATERAL unnest(g.booted, g.firmware_version, g.firmware_at)
            AS u (charge_station_id, firmware_version, firmware_at)
        ORDER BY u.charge_station_id, u.firmware_at DESC, u.firmware_version DESC
    ), better AS (
        -- Most say nothing new.
        SELECT h.charge_station_id, h.hour, h.clock_offset_us
        FROM hourly h
        LEFT JOIN station_activity a ON a.charge_station_id = h.charge_station_id
        WHERE h.clock_offset_us IS NOT NULL
          AND (a.clock_hours[1] = h.hour AND a.clock_offsets_us[1] >= h.clock_offset_us)
            IS NOT TRUE
    ), hours AS (
        SELECT c.charge_station_id, c.hour, max(c.clock_offset_us) AS clock_offset_us
        FROM (
            SELECT b.charge_station_id, b.hour, b.clock_offset_us FROM better b
            UNION ALL
            SELECT a.charge_station_id, k.hour, k.clock_offset_us
            FROM station_activity a
            CROSS JOIN LATERAL unnest(a.clock_hours, a.clock_offsets_us)
                AS k (hour, clock_offset_us)
            WHERE a.charge_station_id IN (SELECT b.charge_station_id FROM better b)
        ) c
        GROUP BY c.charge_station_id, c.hour
    ), clocks AS (
        SELECT h.charge_station_id, array_agg(h.hour ORDER BY h.hour DESC) AS hours,
            array_agg(h.clock_offset_us ORDER BY h.hour DESC) AS offsets_us
        FROM (
            SELECT h.*, row_number() OVER (PARTITION BY h.charge_station_id
                ORDER BY h.hour DESC) AS n
            FROM hours h
        ) h
        WHERE h.n <= 3
        GROUP BY h.charge_station_id
    ), merged AS (
        INSERT INTO station_activity AS a (charge_station_id, first_message_at, last_message_at,
            messages, transactions, firmware_version, firmware_at, clock_hours, clock_offsets_us)
        SELECT s.charge_station_id, coalesce(s.first_at, 'infinity'),
            coalesce(s.last_at, '-infinity'), s.messages, s.transactions, f.firmware_version,
            f.firmware_at, k.hours, k.offsets_us
        FROM sums s
        LEFT JOIN firmware f ON f.charge_station_id = s.charge_station_id
        LEFT JOIN clocks k ON k.charge_station_id = s.charge_station_id
        -- Counts of a station that somebody removed are not corrected.
        WHERE s.last_at IS NOT NULL
           OR EXISTS (SELECT FROM station_activity a WHERE a.charge_station_id = s.charge_station_id)
        ORDER BY s.charge_station_id
        ON CONFLICT (charge_station_id) DO UPDATE
        SET first_message_at = least(a.first_message_at, excluded.first_message_at),
            last_message_at = greatest(a.last_message_at, excluded.last_message_at),
            messages = a.messages + excluded.messages,
            transactions = a.transactions + excluded.transactions,
            firmware_version = CASE WHEN a.firmware_at IS NULL
                    OR (excluded.firmware_at, excluded.firmware_version COLLATE "C")
                     > (a.firmware_at, a.firmware_version COLLATE "C")
                THEN coalesce(excluded.firmware_version, a.firmware_version)
                ELSE a.firmware_version END,
            firmware_at = greatest(a.firmware_at, excluded.firmware_at),
            clock_hours = coalesce(excluded.clock_hours, a.clock_hours),
            clock_offsets_us = coalesce(excluded.clock_offsets_us, a.clock_offsets_us)
    )
    SELECT sum(g.stations) INTO folded FROM gone g;
    RETURN coalesce(folded, 0);
END $$;
COMMENT ON FUNCTION fold_station_changes IS 'Takes rows of station_changes into station_activity, with about so many elements at most; returns how many. 0: there were none, or another session does it. The program calls it every minute.';
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION fold_station_changes SET search_path = %I, pg_temp',
        current_schema());
    -- Without sorting on disk.
    ALTER FUNCTION fold_station_changes SET work_mem = '64MB';
    ALTER FUNCTION fold_station_changes SET jit = off;
END $$;

-- What was stored before: as much as the tables of states tell at once. backfill_stations() finds the rest.
INSERT INTO station_activity (charge_station_id, first_message_at, last_message_at, counted_from,
    firmware_version, firmware_at)
SELECT s.charge_station_id, min(s.at), max(s.at), now(), max(s.firmware_version), max(s.firmware_at)
FROM (
    SELECT c.charge_station_id, t.at, CASE WHEN c.firmware_version IS NOT NULL THEN c.booted_at END
            AS firmware_at, c.firmware_version
    FROM charge_station_status c
    CROSS JOIN LATERAL (VALUES (c.booted_at), (c.last_heartbeat_at)) t (at)
    UNION ALL
    SELECT c.charge_station_id, c.received_at, NULL, NULL FROM connector_status c
    UNION ALL
    SELECT o.charge_station_id, o.received_at, NULL, NULL FROM operation_status o
) s
WHERE s.at IS NOT NULL
GROUP BY s.charge_station_id
ORDER BY s.charge_station_id;

CREATE TABLE station_backfill (
    partition_name text PRIMARY KEY,
    done_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE station_backfill IS 'Partitions that backfill_stations() has read';
COMMENT ON COLUMN station_backfill.partition_name IS 'Name of the partition';
COMMENT ON COLUMN station_backfill.done_at IS 'When it was read';
SELECT grant_table('station_backfill');

ALTER TABLE loading_partitions ADD counted boolean NOT NULL DEFAULT false;
ALTER TABLE loading_partitions ALTER counted SET DEFAULT true;
COMMENT ON COLUMN loading_partitions.counted IS 'Messages that were loaded are in the counts of stations; false: an older program loads them';

DO $migration$
DECLARE
    definition text;
BEGIN
    FOREACH definition IN ARRAY ARRAY[$sql$

CREATE PROCEDURE @.backfill_stations()
LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT p.parent, p.name FROM @.partition_list() p
        WHERE p.parent IN ('meter_values', 'transaction_events', 'authorizations', 'ocpp_events')
          AND p.state IN ('attached', 'undated', 'default')
          AND NOT EXISTS (SELECT FROM @.station_backfill b WHERE b.partition_name = p.name)
        ORDER BY p.from_time DESC, p.parent
    LOOP
        -- It may have been dropped meanwhile.
        CONTINUE WHEN to_regclass(format('%s.%I', '{schema}', part.name)) IS NULL;
        EXECUTE format('CREATE TEMPORARY TABLE backfilled_stations ON COMMIT DROP AS
            SELECT charge_station_id, min(received_at) AS first_at, max(received_at) AS last_at
            FROM %s.%I %s GROUP BY charge_station_id', '{schema}', part.name,
            CASE part.parent WHEN 'ocpp_events' THEN 'WHERE direction = ''in''' ELSE '' END);
        PERFORM pg_advisory_xact_lock(hashtext('ocpp-persister stations'), 0);
        -- What was read and is counted has to be there: only other messages were stored before.
        WHILE @.fold_station_changes() > 0 LOOP
            NULL;
        END LOOP;
        INSERT INTO @.station_activity AS a (charge_station_id, first_message_at, last_message_at,
            counted_from)
        SELECT b.charge_station_id, b.first_at, b.last_at, now()
        FROM pg_temp.backfilled_stations b
        ORDER BY b.charge_station_id COLLATE "C"
        ON CONFLICT (charge_station_id) DO UPDATE
        SET counted_from = CASE WHEN excluded.first_message_at < a.first_message_at
                THEN coalesce(a.counted_from, a.first_message_at) ELSE a.counted_from END,
            first_message_at = least(a.first_message_at, excluded.first_message_at),
            last_message_at = greatest(a.last_message_at, excluded.last_message_at)
        WHERE excluded.first_message_at < a.first_message_at
           OR excluded.last_message_at > a.last_message_at;
        INSERT INTO @.station_backfill (partition_name) VALUES (part.name) ON CONFLICT DO NOTHING;
        RAISE NOTICE '% is read', part.name;
        COMMIT;
    END LOOP;
END $$

$sql$, $sql$

-- Messages that turn out to be repeats were counted when they were loaded, unless an older program did.
CREATE FUNCTION @.count_repeated(charge_stations text[], repeats integer[], counted boolean)
RETURNS bigint
LANGUAGE sql VOLATILE AS $$
    INSERT INTO @.station_changes (stations, charge_station_id, first_at, last_at, messages,
        transactions, clock_offset_us)
    SELECT count(*), array_agg(u.station), array_agg(NULL::timestamptz), array_agg(NULL::timestamptz),
        array_agg(-u.messages), array_agg(0), array_agg(NULL::bigint)
    FROM unnest(charge_stations, repeats) u (station, messages)
    WHERE counted
    HAVING count(*) > 0;
    SELECT coalesce(sum(n), 0)::bigint FROM unnest(repeats) n
$$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.drop_repeated(loading text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stations text[];
    repeats integer[];
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
            RETURNING l.follows, l.charge_station_id
        ), repeated AS (
            SELECT charge_station_id, count(*)::integer AS messages FROM gone
            WHERE follows IS NULL GROUP BY charge_station_id
        )
        SELECT array_agg(charge_station_id), array_agg(messages) FROM repeated',
        @.own_table(loading))
    INTO stations, repeats;
    RETURN @.count_repeated(stations, repeats,
        (SELECT l.counted FROM @.loading_partitions l WHERE l.table_name = loading));
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.move_loaded(loading text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    blocks CONSTANT bigint := 500;
    load @.loading_partitions;
    parent_table regclass;
    columns text;
    stations text[];
    repeats integer[];
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
        ), repeated AS (
            SELECT charge_station_id, count(*)::integer AS messages FROM loaded l
            LEFT JOIN stored s USING (charge_station_id, event_time, evse_id, digest)
            WHERE l.follows IS NULL AND (l.n > 1 OR s.digest IS NULL)
            GROUP BY charge_station_id
        )
        SELECT array_agg(charge_station_id), array_agg(messages) FROM repeated',
        @.own_table(loading), parent_table, format('(%s,0)', load.blocks_moved),
        format('(%s,0)', load.blocks_moved + blocks), columns) INTO stations, repeats;
    UPDATE @.loading_partitions SET blocks_moved = load.blocks_moved + blocks
    WHERE table_name = loading;
    RETURN @.count_repeated(stations, repeats, load.counted);
END $$

$sql$] LOOP
        EXECUTE replace(replace(definition, '@', quote_ident(current_schema())), '{schema}',
            replace(quote_ident(current_schema()), '''', ''''''));
    END LOOP;
    EXECUTE 'ALTER FUNCTION count_repeated SET search_path = pg_catalog, pg_temp';
    EXECUTE 'REVOKE EXECUTE ON FUNCTION count_repeated FROM PUBLIC';
    EXECUTE 'REVOKE EXECUTE ON PROCEDURE backfill_stations FROM PUBLIC';
END $migration$;
COMMENT ON PROCEDURE backfill_stations IS 'Completes first_message_at and last_message_at in station_activity for what was stored before there was that table. Reads one partition after the other, the newest first, each in a transaction of its own; called again, it continues. For the owner of the tables.';
COMMENT ON FUNCTION count_repeated IS 'Takes so many messages of each of these stations back from the counts, if they were counted; returns how many they are together';

CREATE VIEW stations AS
SELECT s.charge_station_id, s.first_message_at, s.last_message_at, now() - nullif(s.last_message_at, '-infinity') AS silent_for,
    s.messages, s.transactions, a.counted_from,
    c.booted_at AS last_boot_at, c.boot_reason, c.ocpp_version, c.vendor, c.model, c.serial_number,
    coalesce(c.firmware_version, a.firmware_version) AS firmware_version, c.last_heartbeat_at,
    -- Of three the one in the middle; of two the greater, which was delayed less.
    CASE WHEN k.z IS NULL THEN greatest(k.x, k.y) ELSE greatest(least(k.x, k.y), least(greatest(k.x, k.y), k.z))
        END * interval '1 microsecond' AS clock_offset,
    a.clock_hours[1] AS clock_offset_at
FROM (
    SELECT x.charge_station_id, min(x.first_at) AS first_message_at, max(x.last_at) AS last_message_at,
        sum(x.messages)::bigint AS messages, sum(x.transactions)::bigint AS transactions
    FROM (
        SELECT a.charge_station_id, a.first_message_at AS first_at, a.last_message_at AS last_at,
            a.messages, a.transactions
        FROM station_activity a
        UNION ALL
        SELECT unnest(g.charge_station_id), unnest(g.first_at), unnest(g.last_at), unnest(g.messages),
            unnest(g.transactions)
        FROM station_changes g
    ) x
    GROUP BY x.charge_station_id
) s
LEFT JOIN station_activity a ON a.charge_station_id = s.charge_station_id
LEFT JOIN charge_station_status c ON c.charge_station_id = s.charge_station_id
CROSS JOIN LATERAL (SELECT a.clock_offsets_us[1], a.clock_offsets_us[2], a.clock_offsets_us[3]) k (x, y, z);
COMMENT ON VIEW stations IS 'One row per charge station that has sent a message: when, how many, its last boot, its clock';
SELECT grant_table('stations');

-- Also of stations that send nothing but meter values.
CREATE OR REPLACE VIEW latest_readings AS
SELECT s.charge_station_id, m.evse_id, m.connector_id, m.measurand, m.phase, m.location, m.value, m.unit,
    m.value_text, m.event_time, m.received_at, m.transaction_id, m.context
FROM (
    SELECT c.charge_station_id FROM charge_station_status c
    UNION
    SELECT c.charge_station_id FROM connector_status c
    UNION
    SELECT a.charge_station_id FROM station_activity a
) s
CROSS JOIN LATERAL newest_readings(s.charge_station_id) m;
COMMENT ON VIEW latest_readings IS 'The newest sample of each measurand, per station, EVSE, connector, phase and location, from the newest 50 meter values of the station within the last day. Of stations that have a row in station_activity, charge_station_status or connector_status: a new one after a minute at the latest.';

CREATE OR REPLACE FUNCTION silent_stations(silence interval DEFAULT '1 hour')
RETURNS TABLE (charge_station_id text, last_heard_at timestamptz, silent_for interval)
LANGUAGE sql STABLE ROWS 100 SET jit = off AS $$
    SELECT s.charge_station_id, s.last_message_at, s.silent_for
    FROM stations s
    WHERE s.last_message_at < now() - silence
$$;
COMMENT ON FUNCTION silent_stations IS 'Stations from which nothing was received for that long, of those in stations';
SELECT bind_function('silent_stations(interval)'::regprocedure, true);

DO $$
DECLARE
    c record;
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        REVOKE INSERT, UPDATE, DELETE ON stations FROM ocpp_writer;
    END IF;
    FOR c IN SELECT * FROM (VALUES
        ('charge_station_id', 'Charge station'),
        ('first_message_at', 'Time of receipt of its first message'),
        ('last_message_at', 'Time of receipt of its last message'),
        ('silent_for', 'How long ago that was'),
        ('messages', 'Messages from it that were stored, each once'),
        ('transactions', 'Starts of transactions among them'),
        ('counted_from', 'Older messages are not in the counts: they were stored by version 44 of the schema or an older one; NULL = all are'),
        ('last_boot_at', 'When its last BootNotification was received'),
        ('boot_reason', '2.x: reason of the last BootNotification'),
        ('ocpp_version', 'Of the last BootNotification'),
        ('vendor', 'chargePointVendor (1.6) or chargingStation.vendorName (2.x) of the last BootNotification'),
        ('model', 'chargePointModel (1.6) or chargingStation.model (2.x) of the last BootNotification'),
        ('serial_number', 'chargePointSerialNumber (1.6) or chargingStation.serialNumber (2.x) of the last BootNotification'),
        ('firmware_version', 'Of the last BootNotification that named one'),
        ('last_heartbeat_at', 'When its last Heartbeat was received'),
        ('clock_offset', 'How far its clock is ahead; negative: it is slow, including what its messages take until they are received. The median of the last three hours with live messages that have a time of their own; the best message counts in each. NULL = there was none'),
        ('clock_offset_at', 'The last of these hours')
    ) v (column_name, text) LOOP
        EXECUTE format('COMMENT ON COLUMN stations.%I IS %L', c.column_name, c.text);
    END LOOP;
END $$;
