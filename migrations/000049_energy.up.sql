-- Energy per hour, from the readings of each register. What is stored for an hour is of two kinds: what
-- only the meter values of that hour say (the first and the last reading, and what was counted between
-- them), and what follows with the readings before and after it. So a reading that comes late changes
-- its own hour and those up to the readings next to it, and an hour whose meter values were dropped
-- keeps what it has.
--
-- A batch only notes the hours for which it has meter values, in its row of station_changes.

CREATE TABLE energy_hours (
    charge_station_id text COLLATE "C" NOT NULL,
    hour timestamptz NOT NULL,
    evse_id integer NOT NULL,
    phase text COLLATE "C" NOT NULL,
    wh numeric NOT NULL DEFAULT 0,
    estimated_wh numeric NOT NULL DEFAULT 0,
    resets integer NOT NULL DEFAULT 0,
    counted boolean NOT NULL,
    readings integer NOT NULL DEFAULT 0,
    first_at timestamptz,
    first_wh numeric,
    last_at timestamptz,
    last_wh numeric,
    inside_wh numeric NOT NULL DEFAULT 0,
    inside_resets integer NOT NULL DEFAULT 0,
    PRIMARY KEY (charge_station_id, hour, evse_id, phase)
);
CREATE INDEX energy_hours_hour ON energy_hours USING brin (hour) WITH (pages_per_range = 32);
-- Readings whose EVSE may be learnt later.
CREATE INDEX energy_hours_of_no_evse ON energy_hours (charge_station_id, hour) WHERE evse_id = -1;
-- Those that count where no better register is known.
CREATE INDEX energy_hours_spare ON energy_hours (charge_station_id, hour, evse_id, phase)
    WHERE evse_id = -1 OR phase <> '';
COMMENT ON TABLE energy_hours IS 'Energy per hour (UTC) of each register of a charge station. The view energy_hourly is made for reading. Rows are computed from meter_values, and stay when their partition is dropped.';
COMMENT ON COLUMN energy_hours.charge_station_id IS 'Charge station';
COMMENT ON COLUMN energy_hours.hour IS 'Begin of the hour, in UTC, by the station''s clock';
COMMENT ON COLUMN energy_hours.evse_id IS 'EVSE (2.x) or connector (1.6), as stated or that of the transaction; 0 = main meter of the station, -1 = not known';
COMMENT ON COLUMN energy_hours.phase IS 'L1, L2 or L3; empty = all phases together';
COMMENT ON COLUMN energy_hours.wh IS 'Energy of this hour';
COMMENT ON COLUMN energy_hours.estimated_wh IS 'How much of it is a share of a difference over more than an hour';
COMMENT ON COLUMN energy_hours.resets IS 'How often the register fell, or rose by more than 500 kW would give: these differences are not in wh';
COMMENT ON COLUMN energy_hours.counted IS 'Whether it is in energy_hourly: otherwise it is a main meter, or other rows of the hour have the same energy';
COMMENT ON COLUMN energy_hours.readings IS 'Samples of the register in this hour, repeats included; 0 = there was none, all is estimated';
COMMENT ON COLUMN energy_hours.first_at IS 'Time of the first reading in this hour';
COMMENT ON COLUMN energy_hours.first_wh IS 'The register then';
COMMENT ON COLUMN energy_hours.last_at IS 'Time of the last reading in this hour';
COMMENT ON COLUMN energy_hours.last_wh IS 'The register then';
COMMENT ON COLUMN energy_hours.inside_wh IS 'Energy between these two';
COMMENT ON COLUMN energy_hours.inside_resets IS 'Resets between these two';
SELECT grant_table('energy_hours');

CREATE TABLE energy_pending (
    day timestamptz NOT NULL,
    charge_station_id text COLLATE "C" NOT NULL,
    hours integer NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (day, charge_station_id)
);
COMMENT ON TABLE energy_pending IS 'Hours for which meter values were stored since they were computed';
COMMENT ON COLUMN energy_pending.day IS 'The day, in UTC';
COMMENT ON COLUMN energy_pending.charge_station_id IS 'Charge station';
COMMENT ON COLUMN energy_pending.hours IS 'Bits 0 to 23: its hours; bit 24: an event has named its EVSE, which other readings of the transaction may lack; bit 25: an event has lost its transaction';
COMMENT ON COLUMN energy_pending.noted_at IS 'When the first of them was noted; where computing them failed, an hour after that';
SELECT grant_table('energy_pending');

ALTER TABLE station_changes
    ADD metered text[] COLLATE "C" NOT NULL DEFAULT '{}',
    ADD metered_day timestamptz[] NOT NULL DEFAULT '{}',
    ADD metered_hours integer[] NOT NULL DEFAULT '{}';
ALTER TABLE station_changes
    ALTER metered SET STORAGE EXTERNAL, ALTER metered_day SET STORAGE EXTERNAL,
    ALTER metered_hours SET STORAGE EXTERNAL;
COMMENT ON COLUMN station_changes.metered IS 'Charge stations with meter values, for energy_pending';
COMMENT ON COLUMN station_changes.metered_day IS 'The day of these';
COMMENT ON COLUMN station_changes.metered_hours IS 'Their hours, as in energy_pending';

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
    ), noted AS (
        INSERT INTO energy_pending AS p (day, charge_station_id, hours)
        SELECT m.day, m.charge_station_id, bit_or(m.hours)
        FROM (
            SELECT unnest(g.metered) AS charge_station_id, unnest(g.metered_day) AS day,
                unnest(g.metered_hours) AS hours
            FROM gone g
        ) m
        GROUP BY m.day, m.charge_station_id
        ORDER BY m.day, m.charge_station_id
        ON CONFLICT (day, charge_station_id) DO UPDATE SET hours = p.hours | excluded.hours
        WHERE p.hours | excluded.hours <> p.hours
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

-- Whether a register may have risen by so much: 500 kW, and a minute more, since clocks are coarse.
CREATE FUNCTION is_energy(rise numeric, seconds numeric) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT rise >= 0 AND rise * 3600 <= 500000 * (seconds + 60)
$$;
COMMENT ON FUNCTION is_energy IS 'Whether a difference of a register over so many seconds counts as energy. Otherwise the register was reset or the meter exchanged, or one of the readings is wrong.';
SELECT bind_function('is_energy(numeric,numeric)'::regprocedure, true);

-- In three steps: the readings of the hours; the differences to the readings before and after them, and
-- so all rows between those; which rows count. An hour of which more readings are known than there are
-- now is left as it is: its partition was dropped.
CREATE FUNCTION compute_energy(of_day timestamptz, of_stations text[], of_hours integer[])
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    day_end CONSTANT timestamptz := of_day + interval '24 hours';
    reach CONSTANT interval := interval '31 days';
    stations text[];
    hours timestamptz[];
    evses integer[];
    phases text[];
    more bigint;
    changed bigint := 0;
BEGIN
    WITH asked AS (
        SELECT u.station, u.bits, of_day + min(h) * interval '1 hour' AS since,
            of_day + (max(h) + 1) * interval '1 hour' AS until
        FROM unnest(of_stations, of_hours) u (station, bits)
        CROSS JOIN generate_series(0, 23) h
        WHERE u.bits >> h & 1 = 1
        GROUP BY u.station, u.bits
    ), samples AS MATERIALIZED (
        SELECT a.station, date_bin('1 hour', m.at, of_day) AS hour, m.evse_id,
            coalesce(left(m.phase, 2), '') AS phase, m.transaction_id, m.at, m.wh
        FROM asked a
        CROSS JOIN LATERAL (
            -- The same as in meter_samples, which takes ten times as long.
            SELECT v.evse_id, v.transaction_id, v.event_time AS at, v.received_at,
                p.phase, p.value * CASE p.unit WHEN 'kWh' THEN 1000 WHEN 'MWh' THEN 1000000 ELSE 1 END
                    * CASE WHEN p.multiplier <> 0 THEN ('1e' || p.multiplier)::numeric ELSE 1 END AS wh
            FROM meter_values v
            JOIN meter_value_layouts l ON l.layout_id = v.layout_id
            CROSS JOIN LATERAL unnest(v.sampled, l.measurand, l.phase, l.location, l.unit,
                    l.multiplier) WITH ORDINALITY
                AS p (value, measurand, phase, location, unit, multiplier, position)
            WHERE v.charge_station_id = a.station
              AND v.event_time >= a.since AND v.event_time < a.until
              -- So that other partitions are not even opened.
              AND v.event_time >= of_day AND v.event_time < day_end
              AND v.layout_id <> 0
              AND (p.measurand = 'Energy.Active.Import.Register' OR p.measurand IS NULL
                AND (v.raw IS NULL OR says_no_more(v.raw #> ARRAY['sample', p.position::text])))
              AND (p.location IS NULL OR p.location = 'Outlet')
              AND (p.unit IS NULL OR p.unit IN ('Wh', 'kWh', 'MWh'))
              AND p.value BETWEEN 0 AND 1e60
              AND (p.multiplier IS NULL OR p.multiplier BETWEEN -15 AND 15)
            UNION ALL
            -- Rows that describe themselves.
            SELECT m.evse_id, m.transaction_id, m.event_time, m.received_at,
                m.phase, m.value
            FROM meter_values v
            CROSS JOIN LATERAL (
                SELECT * FROM meter_samples m
                WHERE m.charge_station_id = v.charge_station_id AND m.event_time = v.event_time
                  AND m.evse_id = v.evse_id AND m.digest = v.digest
                  AND m.event_time >= of_day AND m.event_time < day_end
                OFFSET 0) m
            WHERE v.charge_station_id = a.station
              AND v.event_time >= a.since AND v.event_time < a.until
              AND v.event_time >= of_day AND v.event_time < day_end
              AND v.layout_id = 0
              AND m.measurand = 'Energy.Active.Import.Register' AND m.location = 'Outlet'
              AND m.unit = 'Wh' AND m.value >= 0
            OFFSET 0 -- never joined other than by the key
        ) m
        WHERE a.bits >> extract(hour FROM m.at AT TIME ZONE 'UTC')::integer & 1 = 1
          AND (m.phase IS NULL OR m.phase IN ('L1', 'L2', 'L3', 'L1-N', 'L2-N', 'L3-N'))
          AND m.at <= m.received_at + interval '1 day' -- otherwise the clock was far ahead
    ), owners AS MATERIALIZED (
        SELECT n.station, n.transaction_id, n.hour, o.evse_id
        FROM (
            SELECT DISTINCT s.station, s.transaction_id, s.hour FROM samples s
            WHERE s.transaction_id IS NOT NULL AND s.evse_id = -1
        ) n
        CROSS JOIN LATERAL (
            -- Of several sessions of the id those that were open in this hour; if they were on several
            -- EVSEs, they say nothing. If none was open, the last one before it.
            SELECT coalesce(min(t.evse_id) FILTER (WHERE t.open), min(t.evse_id) FILTER (WHERE t.n = 1))
                AS evse_id
            FROM (
                SELECT t.evse_id, t.until >= n.hour AS open,
                    row_number() OVER (ORDER BY k.begins_at DESC NULLS LAST) AS n
                FROM (
                    SELECT * FROM transaction_keys k
                    WHERE k.charge_station_id = n.station AND k.transaction_id = n.transaction_id
                      AND (k.start_key = '' OR k.begins_at < n.hour + interval '1 hour')
                    ORDER BY k.begins_at DESC NULLS LAST LIMIT 16
                ) k
                CROSS JOIN LATERAL (
                    SELECT t.evse_id, CASE WHEN k.start_key = '' THEN 'infinity'
                        WHEN isfinite(t.stopped_at) THEN greatest(t.stopped_at, t.last_event_at)
                        ELSE coalesce(t.last_event_at, t.partition_time) + reach END AS until
                    FROM transactions t
                    WHERE t.charge_station_id = k.charge_station_id
                      AND t.partition_time = k.partition_time
                      AND t.transaction_id = k.transaction_id AND t.start_key = k.start_key
                    OFFSET 0
                ) t
                WHERE t.evse_id >= 0
            ) t
            HAVING count(DISTINCT t.evse_id) FILTER (WHERE t.open) <= 1
        ) o
        WHERE o.evse_id IS NOT NULL
    ), instants AS (
        -- Of several readings at the same time the greatest, so that nothing is counted twice.
        SELECT p.station, p.hour, p.evse, p.phase, p.at, max(p.wh) AS wh,
            count(*) AS readings
        FROM (
            SELECT s.station, s.hour, s.phase, s.at, s.wh,
                CASE WHEN s.evse_id = -1 THEN coalesce(o.evse_id, -1) ELSE s.evse_id END AS evse
            FROM samples s
            -- All owners have samples. Unlike a left join it is never done by a loop in a loop.
            FULL JOIN owners o ON o.station = s.station AND o.transaction_id = s.transaction_id
                AND o.hour = s.hour
        ) p
        GROUP BY p.station, p.hour, p.evse, p.phase, p.at
    ), steps AS (
        SELECT i.*, i.wh - lag(i.wh) OVER w AS rise,
            extract(epoch FROM i.at - lag(i.at) OVER w) AS seconds
        FROM instants i
        WINDOW w AS (PARTITION BY i.station, i.hour, i.evse, i.phase ORDER BY i.at)
    ), fresh AS MATERIALIZED (
        SELECT s.station, s.hour, s.evse, s.phase, sum(s.readings) AS readings,
            min(s.at) AS first_at, (array_agg(s.wh ORDER BY s.at))[1] AS first_wh,
            max(s.at) AS last_at, (array_agg(s.wh ORDER BY s.at DESC))[1] AS last_wh,
            coalesce(sum(s.rise) FILTER (WHERE is_energy(s.rise, s.seconds)), 0) AS wh,
            count(*) FILTER (WHERE NOT is_energy(s.rise, s.seconds)) AS resets
        FROM steps s
        GROUP BY s.station, s.hour, s.evse, s.phase
    ), rows AS (
        -- Those there are beside those there will be: grouped, where a join might be quadratic.
        SELECT b.station, b.hour, b.evse, b.phase, max(b.readings) AS readings,
            max(b.first_at) AS first_at, max(b.first_wh) AS first_wh, max(b.last_at) AS last_at,
            max(b.last_wh) AS last_wh, max(b.wh) AS wh, max(b.resets) AS resets,
            sum(sum(b.readings)) OVER w >= coalesce(sum(sum(b.stored_readings)) OVER w, 0) AS taken
        FROM (
            SELECT f.*, NULL::integer AS stored_readings FROM fresh f
            UNION ALL
            SELECT e.charge_station_id, e.hour, e.evse_id, e.phase, NULL, NULL, NULL,
                NULL, NULL, NULL, NULL, e.readings
            FROM (SELECT DISTINCT f.station, f.hour FROM fresh f) h
            CROSS JOIN LATERAL (
                SELECT * FROM energy_hours e
                WHERE e.charge_station_id = h.station AND e.hour = h.hour AND e.readings > 0
                OFFSET 0) e
        ) b
        GROUP BY b.station, b.hour, b.evse, b.phase
        WINDOW w AS (PARTITION BY b.station, b.hour)
    ), taken AS MATERIALIZED (
        SELECT * FROM rows r WHERE r.taken
    ), gone AS (
        DELETE FROM energy_hours e USING taken t
        WHERE t.readings IS NULL AND e.charge_station_id = t.station AND e.hour = t.hour
          AND e.evse_id = t.evse AND e.phase = t.phase
        RETURNING e.charge_station_id, e.hour, e.evse_id, e.phase
    ), stored AS (
        INSERT INTO energy_hours AS e (charge_station_id, hour, evse_id, phase, counted,
            readings, first_at, first_wh, last_at, last_wh, inside_wh, inside_resets)
        SELECT t.station, t.hour, t.evse, t.phase, t.evse > 0 AND t.phase = '',
            t.readings, t.first_at, t.first_wh, t.last_at, t.last_wh, t.wh, t.resets
        FROM taken t
        WHERE t.readings > 0
        ORDER BY t.station, t.hour, t.evse, t.phase
        ON CONFLICT (charge_station_id, hour, evse_id, phase) DO UPDATE
        SET readings = excluded.readings, first_at = excluded.first_at,
            first_wh = excluded.first_wh, last_at = excluded.last_at, last_wh = excluded.last_wh,
            inside_wh = excluded.inside_wh, inside_resets = excluded.inside_resets
        WHERE (e.readings, e.first_at, e.first_wh, e.last_at, e.last_wh, e.inside_wh,
                e.inside_resets)
            IS DISTINCT FROM (excluded.readings, excluded.first_at, excluded.first_wh,
                excluded.last_at, excluded.last_wh, excluded.inside_wh, excluded.inside_resets)
        RETURNING e.charge_station_id, e.hour, e.evse_id, e.phase
    )
    SELECT array_agg(c.charge_station_id), array_agg(c.hour), array_agg(c.evse_id),
        array_agg(c.phase), count(*)
    INTO stations, hours, evses, phases, changed
    FROM (SELECT * FROM gone UNION ALL SELECT * FROM stored) c;
    IF changed = 0 THEN
        RETURN 0;
    END IF;

    WITH touched AS MATERIALIZED (
        SELECT * FROM unnest(stations, hours, evses, phases) u (station, hour, evse, phase)
    ), series AS (
        SELECT u.station, u.evse, u.phase, min(u.hour) AS lowest, max(u.hour) AS highest
        FROM (
            SELECT * FROM touched
            UNION ALL
            -- Registers whose gaps may count or not because of these.
            SELECT t.station, h.hour, e.evse_id, e.phase
            FROM (
                SELECT t.station, min(t.hour) AS lowest, max(t.hour) AS highest
                FROM touched t GROUP BY t.station
            ) t
            CROSS JOIN LATERAL (
                SELECT DISTINCT e.evse_id, e.phase FROM energy_hours e
                WHERE e.charge_station_id = t.station AND (e.evse_id = -1 OR e.phase <> '')
                  AND e.hour BETWEEN t.lowest - reach - interval '1 hour'
                    AND t.highest + reach + interval '1 hour'
            ) e
            CROSS JOIN LATERAL (VALUES (t.lowest), (t.highest)) h (hour)
        ) u
        GROUP BY u.station, u.evse, u.phase
    ), scopes AS MATERIALIZED (
        -- The readings next to them, whose rows change, too, and the ones next to those.
        SELECT s.*, coalesce(p.hour, s.lowest) AS since, coalesce(n.hour, s.highest) AS until,
            coalesce(pp.hour, p.hour, s.lowest) AS read_since,
            coalesce(nn.hour, n.hour, s.highest) AS read_until
        FROM series s
        LEFT JOIN LATERAL (
            SELECT e.hour FROM energy_hours e
            WHERE e.charge_station_id = s.station AND e.hour < s.lowest
              AND e.hour >= s.lowest - reach - interval '1 hour'
              AND e.evse_id = s.evse AND e.phase = s.phase AND e.readings > 0
            ORDER BY e.hour DESC LIMIT 1) p ON true
        LEFT JOIN LATERAL (
            SELECT e.hour FROM energy_hours e
            WHERE e.charge_station_id = s.station AND e.hour < p.hour
              AND e.hour >= p.hour - reach - interval '1 hour'
              AND e.evse_id = s.evse AND e.phase = s.phase AND e.readings > 0
            ORDER BY e.hour DESC LIMIT 1) pp ON true
        LEFT JOIN LATERAL (
            SELECT e.hour FROM energy_hours e
            WHERE e.charge_station_id = s.station AND e.hour > s.highest
              AND e.hour <= s.highest + reach + interval '1 hour'
              AND e.evse_id = s.evse AND e.phase = s.phase AND e.readings > 0
            ORDER BY e.hour LIMIT 1) n ON true
        LEFT JOIN LATERAL (
            SELECT e.hour FROM energy_hours e
            WHERE e.charge_station_id = s.station AND e.hour > n.hour
              AND e.hour <= n.hour + reach + interval '1 hour'
              AND e.evse_id = s.evse AND e.phase = s.phase AND e.readings > 0
            ORDER BY e.hour LIMIT 1) nn ON true
    ), known AS MATERIALIZED (
        SELECT s.station, s.evse, s.phase, s.since, s.until, e.*
        FROM scopes s
        CROSS JOIN LATERAL (
            SELECT e.hour, e.readings, e.first_at, e.first_wh, e.last_at, e.last_wh, e.inside_wh,
                e.inside_resets
            FROM energy_hours e
            WHERE e.charge_station_id = s.station AND e.hour BETWEEN s.read_since AND s.read_until
              AND e.evse_id = s.evse AND e.phase = s.phase
            OFFSET 0) e
    ), pairs AS MATERIALIZED (
        -- Where a better register was read in one of its hours, a gap is not known to be missing there.
        SELECT r.*, r.at - r.before_at <= reach AND NOT ((r.evse = -1 OR r.phase <> '') AND EXISTS (
                SELECT FROM energy_hours e
                WHERE e.charge_station_id = r.station AND e.hour BETWEEN r.before_hour AND r.hour
                  AND e.readings > 0
                  AND (r.evse = -1 AND e.evse_id > 0
                    OR r.phase <> '' AND e.evse_id = r.evse AND e.phase = '')
            )) AS near, is_energy(r.rise, r.seconds) AS ok
        FROM (
            SELECT k.station, k.evse, k.phase, k.since, k.until, k.hour,
                k.first_at AS at, k.inside_wh, k.inside_resets, lag(k.hour) OVER w AS before_hour,
                lag(k.last_at) OVER w AS before_at, k.first_wh - lag(k.last_wh) OVER w AS rise,
                extract(epoch FROM k.first_at - lag(k.last_at) OVER w) AS seconds
            FROM known k
            WHERE k.readings > 0
            WINDOW w AS (PARTITION BY k.station, k.evse, k.phase ORDER BY k.hour)
        ) r
    ), parts AS (
        SELECT p.station, p.evse, p.phase, p.hour, p.inside_wh AS wh,
            0 AS estimated_wh, p.inside_resets
                + CASE WHEN p.near AND NOT p.ok THEN 1 ELSE 0 END AS resets,
            true AS measured, false AS estimated
        FROM pairs p
        WHERE p.hour BETWEEN p.since AND p.until
        UNION ALL
        SELECT k.station, k.evse, k.phase, k.hour, 0, 0, 0, false, true
        FROM known k
        WHERE k.readings = 0 AND k.hour BETWEEN k.since AND k.until
        UNION ALL
        SELECT p.station, p.evse, p.phase, p.hour, p.wh,
            CASE WHEN p.seconds > 3600 THEN p.wh ELSE 0 END, 0, false, false
        FROM (
            -- Evenly over the time; as differences of rounded sums, so that they add up.
            SELECT p.station, p.evse, p.phase, h.hour, p.seconds,
                CASE WHEN h.hour = p.hour THEN p.rise
                    ELSE round(p.rise * extract(epoch FROM h.hour + interval '1 hour' - p.before_at)
                        / p.seconds, 3) END
                - CASE WHEN h.hour = p.before_hour THEN 0
                    ELSE round(p.rise * extract(epoch FROM h.hour - p.before_at)
                        / p.seconds, 3) END AS wh
            FROM pairs p
            CROSS JOIN LATERAL generate_series(p.before_hour, p.hour, interval '1 hour') h (hour)
            WHERE p.near AND p.ok AND p.rise > 0 AND h.hour BETWEEN p.since AND p.until
        ) p
    ), target AS MATERIALIZED (
        SELECT p.station, p.evse, p.phase, p.hour, trim_scale(sum(p.wh)) AS wh,
            trim_scale(sum(p.estimated_wh)) AS estimated_wh,
            sum(p.resets)::integer AS resets,
            bool_or(p.measured) AS measured, bool_or(p.estimated) AS estimated
        FROM parts p
        GROUP BY p.station, p.evse, p.phase, p.hour
    ), gone AS (
        DELETE FROM energy_hours e USING target t
        WHERE t.estimated AND NOT t.measured AND t.wh = 0 AND e.readings = 0
          AND e.charge_station_id = t.station AND e.hour = t.hour
          AND e.evse_id = t.evse AND e.phase = t.phase
        RETURNING e.charge_station_id, e.hour
    ), stored AS (
        INSERT INTO energy_hours AS e (charge_station_id, hour, evse_id, phase, counted,
            wh, estimated_wh, resets)
        SELECT t.station, t.hour, t.evse, t.phase, t.evse > 0 AND t.phase = '', t.wh, t.estimated_wh, t.resets
        FROM target t
        WHERE t.measured OR t.wh > 0
        ORDER BY t.station, t.hour, t.evse, t.phase
        ON CONFLICT (charge_station_id, hour, evse_id, phase) DO UPDATE
        SET wh = excluded.wh, estimated_wh = excluded.estimated_wh, resets = excluded.resets
        WHERE (e.wh, e.estimated_wh, e.resets)
            IS DISTINCT FROM (excluded.wh, excluded.estimated_wh, excluded.resets)
        RETURNING e.charge_station_id, e.hour
    )
    SELECT stations || array_agg(c.charge_station_id), hours || array_agg(c.hour), count(*)
    INTO stations, hours, more
    FROM (SELECT * FROM gone UNION ALL SELECT * FROM stored) c;
    changed := changed + more;

    -- The register of all phases rather than those of each; an EVSE that is known rather than one
    -- that is not.
    WITH judged AS (
        SELECT e.*, e.evse_id <> 0
            AND (e.phase = '' OR NOT bool_or(e.phase = '') OVER
                (PARTITION BY e.charge_station_id, e.hour, e.evse_id))
            AND (e.evse_id > 0 OR NOT bool_or(e.evse_id > 0) OVER
                (PARTITION BY e.charge_station_id, e.hour)) AS counts
        FROM (SELECT DISTINCT * FROM unnest(stations, hours)) u (station, hour)
        CROSS JOIN LATERAL (
            SELECT e.charge_station_id, e.hour, e.evse_id, e.phase, e.counted
            FROM energy_hours e
            WHERE e.charge_station_id = u.station AND e.hour = u.hour
            OFFSET 0) e
    ), updated AS (
        UPDATE energy_hours e SET counted = j.counts
        FROM judged j
        WHERE j.counts <> j.counted
          AND e.charge_station_id = j.charge_station_id AND e.hour = j.hour
          AND e.evse_id = j.evse_id AND e.phase = j.phase
        RETURNING 1
    )
    SELECT count(*) INTO more FROM updated;
    RETURN changed + more;
END $$;
COMMENT ON FUNCTION compute_energy IS 'Computes these hours (bits, as in energy_pending) of these stations on a day anew from meter_values; returns how many rows of energy_hours that changed. Call refresh_energy() or recompute_energy() instead: only one session may do it at a time.';

-- Each call does one of two things, so that whoever locks several days locks them in ascending order,
-- as fold_station_changes does: it notes hours of other days whose readings may have another EVSE now (bits 24, 25),
-- or it computes hours of one day.
CREATE FUNCTION refresh_energy(noted_before timestamptz DEFAULT 'infinity',
    stations_max integer DEFAULT 200, wait boolean DEFAULT false, OUT stations bigint,
    OUT changed bigint, OUT failed bigint, OUT more boolean)
LANGUAGE plpgsql AS $$
DECLARE
    of_day timestamptz;
    of_stations text[];
    of_hours integer[];
BEGIN
    stations := 0;
    changed := 0;
    failed := 0;
    more := false;
    IF wait THEN
        PERFORM pg_advisory_xact_lock(hashtext('ocpp-persister energy'), 0);
    ELSIF NOT pg_try_advisory_xact_lock(hashtext('ocpp-persister energy'), 0) THEN
        RETURN;
    END IF;
    -- The newest day first. Rows that are being loaded cannot be seen yet.
    SELECT p.day INTO of_day FROM energy_pending p
    WHERE p.noted_at <= noted_before AND p.day <> ALL (ARRAY(
        SELECT l.lower_bound FROM loading_partitions l WHERE l.parent = 'meter_values'))
    ORDER BY p.day DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    WITH named AS (
        SELECT p.charge_station_id, p.hours FROM energy_pending p
        WHERE p.day = of_day AND p.noted_at <= noted_before AND p.hours >> 24 <> 0
        ORDER BY p.charge_station_id LIMIT stations_max
    ), others AS (
        SELECT date_bin('1 day', e.hour, of_day) AS day, e.charge_station_id,
            bit_or(1 << extract(hour FROM e.hour AT TIME ZONE 'UTC')::integer) AS hours
        FROM named n
        JOIN energy_hours e ON e.charge_station_id = n.charge_station_id
            AND (e.evse_id = -1 OR n.hours >> 25 & 1 = 1)
            AND e.hour >= of_day - interval '31 days' AND e.hour < of_day + interval '31 days'
        WHERE e.readings > 0
        GROUP BY 1, 2
        UNION ALL
        SELECT of_day, n.charge_station_id, 0 FROM named n
    )
    INSERT INTO energy_pending AS p (day, charge_station_id, hours, noted_at)
    SELECT o.day, o.charge_station_id, bit_or(o.hours), '-infinity'
    FROM others o
    GROUP BY o.day, o.charge_station_id ORDER BY o.day, o.charge_station_id
    ON CONFLICT (day, charge_station_id) DO UPDATE
    SET hours = (p.hours | excluded.hours) & CASE WHEN p.day = of_day THEN (1 << 24) - 1 ELSE -1 END;
    IF FOUND THEN
        more := true;
        RETURN;
    END IF;

    more := wait;
    IF wait THEN
        PERFORM FROM energy_pending p
        WHERE p.day = of_day AND p.noted_at <= noted_before
        ORDER BY p.charge_station_id LIMIT stations_max
        FOR UPDATE;
    END IF;
    WITH picked AS (
        SELECT p.charge_station_id FROM energy_pending p
        WHERE p.day = of_day AND p.noted_at <= noted_before AND p.hours >> 24 = 0
          -- Again, since this is another snapshot.
          AND p.day <> ALL (ARRAY(
            SELECT l.lower_bound FROM loading_partitions l WHERE l.parent = 'meter_values'))
        ORDER BY p.charge_station_id LIMIT stations_max
        FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM energy_pending p USING picked k
        WHERE p.day = of_day AND p.charge_station_id = k.charge_station_id
        RETURNING p.charge_station_id, p.hours
    )
    SELECT count(*), array_agg(g.charge_station_id), array_agg(g.hours)
    INTO stations, of_stations, of_hours FROM gone g;
    IF stations = 0 THEN
        RETURN;
    END IF;
    more := true;
    BEGIN
        changed := compute_energy(of_day, of_stations, of_hours);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        NULL;
    END;

    -- One by one: the others must not wait for a station that fails each time.
    FOR i IN 1 .. cardinality(of_stations) LOOP
        BEGIN
            changed := changed + compute_energy(of_day, of_stations[i:i], of_hours[i:i]);
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'energy of station % on % (UTC): %', of_stations[i],
                (of_day AT TIME ZONE 'UTC')::date, SQLERRM;
            failed := failed + 1;
            INSERT INTO energy_pending AS p (day, charge_station_id, hours, noted_at)
            VALUES (of_day, of_stations[i], of_hours[i], clock_timestamp() + interval '1 hour');
        END;
    END LOOP;
    stations := stations - failed;
END $$;
COMMENT ON FUNCTION refresh_energy IS 'Computes pending hours that were noted by then, of so many stations and one day at most; returns of how many stations, how many rows changed, of how many stations it failed (in an hour they are tried again), and whether to call it again. more is false if none are left; unless wait is true, also if other sessions have them. The program calls it every minute.';

CREATE FUNCTION recompute_energy(of_day timestamptz, after_station text DEFAULT '',
    only_check boolean DEFAULT false, stations_max integer DEFAULT 200, OUT stations bigint,
    OUT changed bigint, OUT last_station text)
LANGUAGE plpgsql AS $$
DECLARE
    day_end CONSTANT timestamptz := of_day + interval '24 hours';
    of_stations text[];
    settled text[];
BEGIN
    changed := 0;
    PERFORM pg_advisory_xact_lock(hashtext('ocpp-persister energy'), 0);
    -- From station to station by the index.
    WITH RECURSIVE found AS (
        SELECT (SELECT v.charge_station_id FROM meter_values v
            WHERE v.charge_station_id > after_station
              AND v.event_time >= of_day AND v.event_time < day_end
            ORDER BY v.charge_station_id LIMIT 1) AS station, 1 AS n
        UNION ALL
        SELECT (SELECT v.charge_station_id FROM meter_values v
            WHERE v.charge_station_id > f.station
              AND v.event_time >= of_day AND v.event_time < day_end
            ORDER BY v.charge_station_id LIMIT 1), f.n + 1
        FROM found f
        WHERE f.station IS NOT NULL AND f.n < stations_max
    )
    SELECT count(f.station), max(f.station), array_agg(f.station)
    INTO stations, last_station, of_stations
    FROM found f WHERE f.station IS NOT NULL;
    IF stations > 0 AND NOT only_check THEN
        changed := compute_energy(of_day, of_stations,
            array_fill((1 << 24) - 1, ARRAY[cardinality(of_stations)]));
    END IF;
    -- Without what is pending, which differs, of course. What differs may also have been stored since
    -- that was looked up: then it is looked up, and compared, again.
    WHILE only_check AND of_stations IS NOT NULL LOOP
        SELECT array_agg(u.station) INTO settled
        FROM unnest(of_stations) u (station)
        WHERE u.station NOT IN (
            SELECT p.charge_station_id FROM energy_pending p
            WHERE p.day = of_day OR p.hours >> 24 <> 0
            UNION ALL
            SELECT m.station FROM station_changes c
            CROSS JOIN LATERAL unnest(c.metered, c.metered_day, c.metered_hours)
                m (station, day, hours)
            WHERE m.day = of_day OR m.hours >> 24 <> 0);
        EXIT WHEN settled IS NULL OR changed > 0 AND settled = of_stations;
        of_stations := settled;
        BEGIN
            changed := compute_energy(of_day, of_stations,
                array_fill((1 << 24) - 1, ARRAY[cardinality(of_stations)]));
            RAISE EXCEPTION USING ERRCODE = 'OC900'; -- takes it back
        EXCEPTION WHEN SQLSTATE 'OC900' THEN
            EXIT WHEN changed = 0;
        END;
    END LOOP;
    IF only_check AND settled IS NULL THEN
        changed := 0;
    END IF;
END $$;
COMMENT ON FUNCTION recompute_energy IS 'Computes all hours of a day (its begin in UTC) anew, of at most so many stations after this one: returns how many there were, the last of them, to go on with, and how many rows of energy_hours changed. With only_check nothing is changed, and stations with hours that are pending or not folded yet are left out.';

CREATE VIEW energy_hourly AS
SELECT e.charge_station_id, e.hour, nullif(e.evse_id, -1) AS evse_id,
    nullif(e.phase, '') AS phase, e.wh, e.estimated_wh,
    e.estimated_wh > 0 AS estimated, e.resets, e.readings
FROM energy_hours e
WHERE e.counted;
COMMENT ON VIEW energy_hourly IS 'Energy per hour (UTC), charge station and EVSE, from the differences of the register at the outlet (Energy.Active.Import.Register). An estimate for statistics, not for bills (docs/reports.md says what is not exact). An hour without a row: nothing was measured and nothing is missing, or nothing is known. New readings are in it after energy.refresh, or with ocpp-persister energy refresh.';
SELECT grant_table('energy_hourly');

DO $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT p.oid::regprocedure AS id FROM pg_proc p
        WHERE p.pronamespace = quote_ident(current_schema())::regnamespace
          AND p.proname IN ('compute_energy', 'refresh_energy', 'recompute_energy') LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', c.id, current_schema());
        EXECUTE format('ALTER FUNCTION %s SET jit = off', c.id);
        EXECUTE format('ALTER FUNCTION %s SET work_mem = ''64MB''', c.id);
        EXECUTE format('ALTER FUNCTION %s SET plan_cache_mode = force_custom_plan', c.id);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        REVOKE INSERT, UPDATE, DELETE ON energy_hourly FROM ocpp_writer;
    END IF;
    FOR c IN SELECT * FROM (VALUES
        ('charge_station_id', 'Charge station'),
        ('hour', 'Begin of the hour, in UTC, by the station''s clock'),
        ('evse_id', 'EVSE (2.x) or connector (1.6), as stated or that of the transaction; NULL = not known'),
        ('phase', 'NULL = all phases together; L1, L2 or L3 where the station only sends a register of each'),
        ('wh', 'Energy in Wh. Between two readings it is spread evenly over the time; a fall of the register, a rise by more than 500 kW would give, and a difference over more than 31 days do not count'),
        ('estimated_wh', 'How much of it is from readings more than an hour apart'),
        ('estimated', 'Whether that is more than 0'),
        ('resets', 'How often the register fell, or rose by more than 500 kW would give'),
        ('readings', 'Samples of the register in this hour, repeats included; 0 = none')
    ) v (column_name, text) LOOP
        EXECUTE format('COMMENT ON COLUMN energy_hourly.%I IS %L', c.column_name, c.text);
    END LOOP;
END $$;
