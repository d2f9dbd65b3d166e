DROP VIEW energy_hourly;
DROP FUNCTION recompute_energy;
DROP FUNCTION refresh_energy;
DROP FUNCTION compute_energy;
DROP FUNCTION is_energy;

CREATE OR REPLACE FUNCTION fold_station_changes(stations_max bigint DEFAULT 1000000) RETURNS bigint
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
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION fold_station_changes SET search_path = %I, pg_temp',
        current_schema());
    ALTER FUNCTION fold_station_changes SET work_mem = '64MB';
    ALTER FUNCTION fold_station_changes SET jit = off;
END $$;

ALTER TABLE station_changes DROP metered, DROP metered_day, DROP metered_hours;
DROP TABLE energy_pending;
DROP TABLE energy_hours;
