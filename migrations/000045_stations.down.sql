DROP FUNCTION silent_stations;
DROP VIEW stations;

CREATE OR REPLACE VIEW latest_readings AS
SELECT s.charge_station_id, m.evse_id, m.connector_id, m.measurand, m.phase, m.location, m.value, m.unit,
    m.value_text, m.event_time, m.received_at, m.transaction_id, m.context
FROM (
    SELECT c.charge_station_id FROM charge_station_status c
    UNION
    SELECT c.charge_station_id FROM connector_status c
) s
CROSS JOIN LATERAL newest_readings(s.charge_station_id) m;
COMMENT ON VIEW latest_readings IS 'The newest sample of each measurand, per station, EVSE, connector, phase and location, from the newest 50 meter values of the station within the last day. Only stations that have a row in charge_station_status or connector_status.';

CREATE FUNCTION silent_stations(silence interval DEFAULT '1 hour')
RETURNS TABLE (charge_station_id text, last_heard_at timestamptz, silent_for interval)
LANGUAGE sql STABLE ROWS 100 SET jit = off AS $$
    SELECT k.charge_station_id, k.at, now() - k.at
    FROM (
        SELECT s.charge_station_id, max(s.at) AS at
        FROM (
            SELECT c.charge_station_id, greatest(c.booted_at, c.last_heartbeat_at) AS at
            FROM charge_station_status c
            UNION ALL
            SELECT c.charge_station_id, c.received_at FROM connector_status c
            UNION ALL
            SELECT o.charge_station_id, o.received_at FROM operation_status o
        ) s
        GROUP BY s.charge_station_id
    ) k
    LEFT JOIN LATERAL (
        SELECT true AS found FROM meter_values v
        WHERE v.charge_station_id = k.charge_station_id
          AND v.event_time > now() - silence - interval '1 day' AND v.received_at > now() - silence
        LIMIT 1) v ON true
    LEFT JOIN LATERAL (
        SELECT true AS found FROM transaction_events t
        WHERE t.charge_station_id = k.charge_station_id
          AND t.event_time > now() - silence - interval '1 day' AND t.received_at > now() - silence
        LIMIT 1) t ON v.found IS NULL
    LEFT JOIN LATERAL (
        SELECT true AS found FROM authorizations a
        WHERE a.charge_station_id = k.charge_station_id
          AND a.event_time > now() - silence
        LIMIT 1) a ON v.found IS NULL AND t.found IS NULL
    LEFT JOIN LATERAL (
        SELECT true AS found FROM ocpp_events e
        WHERE e.charge_station_id = k.charge_station_id AND e.direction = 'in'
          AND e.event_time > now() - silence - interval '1 day' AND e.received_at > now() - silence
        LIMIT 1) e ON v.found IS NULL AND t.found IS NULL AND a.found IS NULL
    WHERE k.at < now() - silence
      AND v.found IS NULL AND t.found IS NULL AND a.found IS NULL AND e.found IS NULL
$$;
COMMENT ON FUNCTION silent_stations IS 'Stations from which nothing was received for that long, of those that have a row in charge_station_status, connector_status or operation_status. last_heard_at is the newest time of receipt there; messages of other kinds may have come later. A message whose own time is more than a day before its receipt is not noticed.';
SELECT bind_function('silent_stations(interval)'::regprocedure, true);

DO $migration$
DECLARE
    definition text;
BEGIN
    FOREACH definition IN ARRAY ARRAY[$sql$

CREATE OR REPLACE FUNCTION @.drop_repeated(loading text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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

CREATE OR REPLACE FUNCTION @.move_loaded(loading text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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

$sql$] LOOP
        EXECUTE replace(replace(definition, '@', quote_ident(current_schema())), '{schema}',
            replace(quote_ident(current_schema()), '''', ''''''));
    END LOOP;
END $migration$;

ALTER TABLE loading_partitions DROP counted;
DROP FUNCTION count_repeated;
DROP PROCEDURE backfill_stations;
DROP TABLE station_backfill;
DROP FUNCTION fold_station_changes;
DROP TABLE station_changes;
DROP TABLE station_activity;
