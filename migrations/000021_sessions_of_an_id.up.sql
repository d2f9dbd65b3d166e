-- Ids that are used again. A CSMS may give one id to one session after the other, or to two
-- connectors at once; a 2.x station may count from the beginning after it has restarted. Each start
-- then is a session of its own, start_key tells them apart, and the key of the id (start_key '') is
-- what workers lock, and has no row in transactions. rows/sessions.h says which event is of which.

ALTER TABLE transaction_keys
    ADD COLUMN start_key text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN split boolean NOT NULL DEFAULT false,
    ADD COLUMN begins_at timestamptz,
    ADD COLUMN fresh boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT transaction_keys_pkey,
    ADD PRIMARY KEY (charge_station_id, transaction_id, start_key);
ALTER TABLE transaction_keys ALTER partition_time DROP NOT NULL;
-- Of sessions whose id was used again: hardly any.
CREATE INDEX transaction_keys_begins_at
    ON transaction_keys (charge_station_id, transaction_id, begins_at) WHERE begins_at IS NOT NULL;
COMMENT ON TABLE transaction_keys IS 'Makes (station, transaction, start) unique across the partitions of transactions, which a constraint there cannot, and is what workers lock before they merge';
COMMENT ON COLUMN transaction_keys.partition_time IS 'Where the row in transactions is; NULL = there is none (an id with several sessions, or with nothing but a cost)';
COMMENT ON COLUMN transaction_keys.start_key IS 'As in transactions';
COMMENT ON COLUMN transaction_keys.split IS 'In the row without start_key: the id has several sessions, each with a row of its own';
COMMENT ON COLUMN transaction_keys.begins_at IS 'Of one of several sessions: time of its first event; of receipt where that has none';
COMMENT ON COLUMN transaction_keys.fresh IS 'Of one of several sessions: no other one was open when it began, so what was before it need not be looked at again';

ALTER TABLE transactions
    ADD COLUMN start_key text COLLATE "C" NOT NULL DEFAULT '',
    DROP CONSTRAINT transactions_pkey,
    ADD PRIMARY KEY (charge_station_id, partition_time, transaction_id, start_key);
COMMENT ON COLUMN transactions.start_key IS 'Empty; where several sessions of the station had this transaction_id, the digest of the start (of the first event, where no start was seen)';
COMMENT ON COLUMN transactions.transaction_id IS 'The transaction''s id as text: unique per station only, and with start_key. 1.6: an id of 0 or below that the CSMS gave to no start it accepted has "@" and the digest of its event behind it.';

-- One row per session, so they cost little.
CREATE INDEX transactions_id_token ON transactions (id_token);
CREATE INDEX transactions_stopped_at ON transactions (stopped_at);

ALTER TABLE transaction_starts
    ADD COLUMN result_digest bigint NOT NULL DEFAULT 0,
    ADD COLUMN link_kind integer NOT NULL DEFAULT 2,
    ADD COLUMN distance_us bigint NOT NULL DEFAULT 0,
    DROP CONSTRAINT transaction_starts_pkey,
    ADD PRIMARY KEY (charge_station_id, event_time, evse_id, digest, transaction_id, result_digest);
COMMENT ON COLUMN transaction_starts.result_digest IS 'Digest of the result; 0 in rows that an older version wrote';
COMMENT ON COLUMN transaction_starts.link_kind IS 'How the result fits the start: 3 = same trace, 2 = received after it, 1 = received before it';
COMMENT ON COLUMN transaction_starts.distance_us IS 'Microseconds between the receipts of start and result';

ALTER TABLE transaction_events ADD COLUMN readings jsonb;
COMMENT ON COLUMN transaction_events.readings IS 'Readings of the energy register among the sampled values of the event that may be the first (start) or last (stop) of its transaction: rank, digest of the location (0 = outlet), microseconds since 1970, Wh. For the program.';

CREATE TABLE transaction_costs (
    charge_station_id text COLLATE "C" NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    digest bigint NOT NULL,
    received_at timestamptz NOT NULL,
    total_cost numeric NOT NULL,
    PRIMARY KEY (charge_station_id, transaction_id, digest)
);
COMMENT ON TABLE transaction_costs IS 'What a CSMS said transactions have cost so far (CostUpdated); a cost alone is no transaction, it waits here for one';
COMMENT ON COLUMN transaction_costs.charge_station_id IS 'Charge station';
COMMENT ON COLUMN transaction_costs.transaction_id IS 'As the CSMS wrote it';
COMMENT ON COLUMN transaction_costs.digest IS 'Of the message in ocpp_events';
COMMENT ON COLUMN transaction_costs.received_at IS 'When it was received: the last one counts';
COMMENT ON COLUMN transaction_costs.total_cost IS 'totalCost';
SELECT grant_table('transaction_costs');

-- What is in transactions for a cost alone waits from now on.
INSERT INTO transaction_costs (charge_station_id, transaction_id, digest, received_at, total_cost)
SELECT t.charge_station_id, t.transaction_id, 0, t.updated_at, t.total_cost
FROM transactions t
WHERE t.ocpp_version IS NULL AND t.total_cost IS NOT NULL;
UPDATE transaction_keys k SET partition_time = NULL
FROM transactions t
WHERE t.ocpp_version IS NULL AND k.charge_station_id = t.charge_station_id
  AND k.transaction_id = t.transaction_id;
DELETE FROM transactions WHERE ocpp_version IS NULL;

CREATE FUNCTION has_partition(parent text, at timestamptz) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT partition_exists(parent, p.name) FROM partition_of(parent, at) p
$$;
COMMENT ON FUNCTION has_partition IS 'True if there is a partition of the table for this time';
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION has_partition SET search_path = %I, pg_temp', current_schema());
END $$;

CREATE OR REPLACE FUNCTION flag_names(flags integer) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(f.name ORDER BY f.bit), '{}')
    FROM (VALUES
        (0, 'time_zoneless'),
        (1, 'time_adjusted'),
        (2, 'time_invalid'),
        (3, 'time_future'),
        (4, 'text_replaced'),
        (5, 'value_not_number'),
        (6, 'multiplier_out_of_range'),
        (7, 'layout_in_row'),
        (8, 'duplicate_start'),
        (9, 'duplicate_stop'),
        (10, 'stop_before_start'),
        (11, 'meter_backwards'),
        (12, 'energy_implausible'),
        (13, 'shape'),
        (14, 'signed'),
        (15, 'end_ambiguous')
    ) AS f (bit, name)
    WHERE flags & (1 << f.bit) <> 0
$$;

CREATE OR REPLACE FUNCTION flag_meanings(flags integer) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(f.meaning ORDER BY f.bit), '{}')
    FROM (VALUES
        (0, 'the time had no zone and was taken as UTC'),
        (1, 'the time says more than an instant: 24:00, second 60, more than six decimals'),
        (2, 'the time is none, or outside 2010 to 2100'),
        (3, 'the time is later than the time of receipt'),
        (4, 'part of the message could not be stored as it was; payload_raw has the message as received'),
        (5, 'a sampled value is not a number'),
        (6, 'a multiplier beyond +-15, which views do not apply'),
        (7, 'the station sends too many different sets of samples; the row describes itself'),
        (8, 'several different starts'),
        (9, 'several different ends'),
        (10, 'the end is before the start'),
        (11, 'the meter at the end is below the meter at the start'),
        (12, 'more energy than 500 kW would give in the time'),
        (13, 'an object where OCPP has a list, taken as a list of one'),
        (14, 'a sampled value is signed data, kept as it was sent'),
        (15, 'an end that may be of this or of another session with the same id')
    ) AS f (bit, meaning)
    WHERE flags & (1 << f.bit) <> 0
$$;

CREATE OR REPLACE VIEW sessions AS
SELECT
    t.charge_station_id,
    t.transaction_id,
    t.ocpp_version,
    t.evse_id,
    t.connector_id,
    t.id_token,
    t.started_at,
    t.stopped_at,
    CASE WHEN isfinite(t.started_at) AND isfinite(t.stopped_at)
        THEN t.stopped_at - t.started_at END AS duration,
    t.meter_start,
    t.meter_stop,
    CASE WHEN t.flags & 32768 = 0 -- end_ambiguous
            AND t.meter_start BETWEEN -1e60 AND 1e60 AND t.meter_stop BETWEEN -1e60 AND 1e60
        THEN t.meter_stop - t.meter_start END AS energy_wh,
    CASE WHEN t.stopped_at IS NOT NULL THEN coalesce(t.stopped_reason, 'Local') END
        AS stopped_reason,
    t.charging_state,
    t.total_cost,
    cardinality(w.incomplete) = 0 AS complete,
    w.incomplete,
    flag_names(t.flags) AS flags,
    t.first_event_at,
    t.last_event_at,
    t.partition_time,
    t.start_key
FROM transactions t
CROSS JOIN LATERAL (
    SELECT array_remove(ARRAY[
        CASE WHEN t.started_at IS NULL THEN 'no start' END,
        CASE WHEN NOT isfinite(t.started_at) THEN 'time of start invalid' END,
        CASE WHEN t.stopped_at IS NULL THEN 'no end' END,
        CASE WHEN NOT isfinite(t.stopped_at) THEN 'time of end invalid' END,
        CASE WHEN t.meter_start IS NULL THEN 'no meter reading at start' END,
        CASE WHEN t.meter_stop IS NULL THEN 'no meter reading at end' END,
        CASE WHEN t.seq_no_missing > 0 THEN t.seq_no_missing || ' events missing' END
    ], NULL) AS incomplete
) w;
COMMENT ON VIEW sessions IS 'One row per transaction: who, where, when, how much, why it ended; incomplete says in words what is missing. A filter by partition_time (started_at, where that is known and valid) reads only the months it names; a filter by started_at alone reads all of them.';
COMMENT ON COLUMN sessions.flags IS 'What looks odd about it and about each of its events; see flag_names()';
COMMENT ON COLUMN sessions.energy_wh IS 'meter_stop - meter_start; NULL where it is not certain which end is of this session';
COMMENT ON COLUMN sessions.start_key IS 'Tells the sessions of one transaction_id apart where the id was used again; empty where it was not';

-- Everything that is asked about a session is asked with a range of time at its own station, so that
-- each question is a few index look-ups in one or two partitions; filter by station or
-- partition_time.
CREATE OR REPLACE VIEW suspicious_sessions AS
SELECT
    t.charge_station_id,
    t.transaction_id,
    t.evse_id,
    t.connector_id,
    t.id_token,
    t.started_at,
    t.stopped_at,
    t.meter_start,
    t.meter_stop,
    r.reasons,
    t.first_event_at,
    t.last_event_at,
    t.partition_time,
    t.start_key
FROM transactions t
LEFT JOIN LATERAL (
    SELECT min(k.begins_at) AS begins_at
    FROM transaction_keys k
    WHERE k.charge_station_id = t.charge_station_id AND k.transaction_id = t.transaction_id
      AND k.start_key <> '' AND k.begins_at > coalesce(t.started_at, t.first_event_at)
) next ON t.start_key <> ''
CROSS JOIN LATERAL (
    SELECT coalesce(t.stopped_at, t.last_event_at) AS over_at,
        least(coalesce(t.stopped_at, 'infinity'), coalesce(next.begins_at, 'infinity'),
            coalesce(t.started_at, t.first_event_at) + interval '31 days') AS until
) e
LEFT JOIN LATERAL (
    SELECT o.transaction_id, o.start_key
    FROM transactions o
    WHERE o.charge_station_id = t.charge_station_id
      AND o.partition_time >= t.started_at - interval '31 days'
      AND o.partition_time < e.over_at
      AND o.evse_id = t.evse_id
      AND t.evse_id > 0
      AND (o.transaction_id, o.start_key) <> (t.transaction_id, t.start_key)
      AND o.started_at < e.over_at
      AND coalesce(o.stopped_at, o.last_event_at) > t.started_at
    ORDER BY o.transaction_id, o.start_key
    LIMIT 1
) overlap ON isfinite(t.started_at) AND isfinite(e.over_at)
LEFT JOIN LATERAL (
    SELECT k.transaction_id
    FROM transaction_starts s
    JOIN transaction_starts k USING (charge_station_id, event_time, evse_id, digest)
    JOIN transactions o ON o.charge_station_id = k.charge_station_id
        AND o.transaction_id = k.transaction_id
        AND o.partition_time = k.event_time
    WHERE s.charge_station_id = t.charge_station_id
      AND s.event_time = t.started_at
      AND s.transaction_id = t.transaction_id
      AND k.transaction_id <> s.transaction_id
      AND o.last_event_at > o.started_at
    LIMIT 1
) sibling ON t.stopped_at IS NULL AND t.last_event_at = t.started_at
LEFT JOIN LATERAL (
    SELECT true AS found
    FROM meter_values m
    WHERE m.charge_station_id = t.charge_station_id
      AND m.event_time > now() - interval '1 day'
      AND m.transaction_id = t.transaction_id
      AND (t.start_key = '' OR next.begins_at IS NULL AND m.evse_id IN (t.evse_id, -1))
    LIMIT 1
) heard ON t.stopped_at IS NULL
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE b.value < b.before) AS count
    FROM (
        -- Only readings of one register are compared: a begin that is repeated in every message is
        -- no later reading, and the register of the session is not that of the meter's life.
        SELECT m.value, lag(m.value) OVER (
            PARTITION BY m.evse_id, m.connector_id, m.measurand, m.phase, m.location, m.unit,
                m.context = 'Transaction.Begin', m.transaction_id IS NULL
            ORDER BY m.event_time, m.value) AS before
        FROM meter_samples m
        WHERE m.charge_station_id = t.charge_station_id
          AND m.event_time >= coalesce(t.started_at, t.first_event_at)
          AND m.event_time <= e.until
          AND isfinite(m.event_time)
          AND m.value IS NOT NULL
          AND (m.transaction_id = t.transaction_id
                  AND (t.start_key = '' OR m.evse_id IN (t.evse_id, -1))
              OR (m.transaction_id IS NULL AND m.evse_id = t.evse_id))
          AND m.measurand LIKE 'Energy.%.Register'
    ) b
) backwards
CROSS JOIN LATERAL (
    -- Oddities of writing (no zone, 24:00, text that was replaced) are no reason for suspicion.
    SELECT flag_meanings(t.flags & ~19) || array_remove(ARRAY[
        CASE WHEN t.started_at IS NULL THEN 'no start' END,
        CASE WHEN t.stopped_at IS NULL AND heard.found IS NULL
                AND coalesce(t.last_event_at, t.partition_time) < now() - interval '1 day'
            THEN 'no end, and nothing heard for a day' END,
        CASE WHEN t.seq_no_missing > 0
            THEN t.seq_no_missing || ' events missing (gap in seqNo)' END,
        CASE WHEN overlap.transaction_id IS NOT NULL
            THEN 'overlaps transaction ' || overlap.transaction_id || ' on the same EVSE' END,
        CASE WHEN sibling.transaction_id IS NOT NULL
            THEN 'the same start got another id, ' || sibling.transaction_id
                || ', with which it went on' END,
        CASE WHEN backwards.count > 0
            THEN 'the meter ran backwards ' || backwards.count || ' times' END
    ], NULL) AS reasons
) r
WHERE cardinality(r.reasons) > 0;
COMMENT ON VIEW suspicious_sessions IS 'Transactions in which something looks wrong, with the reasons in words; nothing was changed or rejected for them';

CREATE OR REPLACE VIEW all_transactions AS
SELECT t.charge_station_id, t.transaction_id, t.id_token, t.id_token_type, t.started_at,
    t.stopped_at, t.stopped_reason, t.meter_start, t.meter_stop, t.seq_no_start, t.seq_no_stop,
    coalesce(t.offline, false) AS offline, t.total_cost, t.partition_time AS list_time,
    t.last_event_at, t.start_key
FROM transactions t
UNION ALL
SELECT s.charge_station_id, s.transaction_id, s.id_token, s.id_token_type, s.started_at,
    s.stopped_at, s.stopped_reason, s.meter_start, s.meter_stop, s.seq_no_start, s.seq_no_stop,
    coalesce(s.offline, false), s.total_cost, coalesce(s.started_at, s.stopped_at, s.created_at),
    NULL, ''
FROM store_transactions s
WHERE NOT EXISTS (
    SELECT FROM transaction_keys k
    WHERE k.charge_station_id = s.charge_station_id AND k.transaction_id = s.transaction_id
      AND k.partition_time IS NOT NULL);
COMMENT ON VIEW all_transactions IS 'Transactions from what stations reported and, where they reported nothing, from what was told through the store';

-- Inlined into the query that calls it, so that its plan is made for the values it is called with.
-- For that it may have no settings of its own, so it names our schema.
DO $do$
BEGIN
    EXECUTE format($function$
CREATE FUNCTION %1$I.transaction_values(station text, transaction text, session text DEFAULT NULL)
RETURNS SETOF %1$I.meter_samples
LANGUAGE sql STABLE AS $body$
    SELECT m.*
    FROM %1$I.transaction_keys k
    JOIN %1$I.transactions t ON t.charge_station_id = k.charge_station_id
        AND t.partition_time = k.partition_time AND t.transaction_id = k.transaction_id
        AND t.start_key = k.start_key
    LEFT JOIN LATERAL (
        SELECT min(n.begins_at) AS begins_at
        FROM %1$I.transaction_keys n
        JOIN %1$I.transactions s ON s.charge_station_id = n.charge_station_id
            AND s.partition_time = n.partition_time AND s.transaction_id = n.transaction_id
            AND s.start_key = n.start_key
        WHERE k.start_key <> '' AND n.charge_station_id = k.charge_station_id
          AND n.transaction_id = k.transaction_id AND n.start_key <> ''
          AND n.begins_at > k.begins_at AND s.evse_id = t.evse_id
    ) next ON true
    CROSS JOIN LATERAL (
        SELECT CASE WHEN k.start_key = '' THEN k.partition_time - interval '1 hour'
                ELSE coalesce(t.first_event_at, k.partition_time) END AS not_before,
            least(CASE WHEN isfinite(t.stopped_at)
                THEN greatest(t.stopped_at, t.last_event_at) + interval '1 hour'
                ELSE coalesce(t.last_event_at, t.partition_time) + interval '31 days' END,
                next.begins_at - interval '1 microsecond') AS not_after
    ) b
    CROSS JOIN LATERAL (
        SELECT m.*
        FROM %1$I.meter_samples m
        WHERE m.charge_station_id = k.charge_station_id
          AND m.event_time >= b.not_before AND m.event_time <= b.not_after
          AND m.transaction_id = k.transaction_id
          AND (k.start_key = '' OR m.evse_id IN (t.evse_id, -1))
        OFFSET 0) m -- never joined in another way than by the key
    WHERE k.charge_station_id = station
      AND k.transaction_id = transaction
      AND (session IS NULL OR k.start_key = session)
$body$
$function$, current_schema());
END $do$;
COMMENT ON FUNCTION transaction_values IS 'The sampled values of one transaction, from the days it took (31 days on, if it has no end): reads only the key range of its station in their partitions. Of an id that was used again, those of all its sessions, or of the one with this start_key: by time and connector.';
