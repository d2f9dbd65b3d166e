-- Ids with several sessions lose their rows, as do costs that wait; what stations sent stays.
DROP FUNCTION transaction_values, has_partition;
DROP VIEW all_transactions, suspicious_sessions, sessions;

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
        (14, 'signed')
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
        (14, 'a sampled value is signed data, kept as it was sent')
    ) AS f (bit, meaning)
    WHERE flags & (1 << f.bit) <> 0
$$;

DROP TABLE transaction_costs;
ALTER TABLE transaction_events DROP COLUMN readings;

DELETE FROM transaction_starts s USING transaction_starts o
WHERE (s.charge_station_id, s.event_time, s.evse_id, s.digest, s.transaction_id)
        = (o.charge_station_id, o.event_time, o.evse_id, o.digest, o.transaction_id)
  AND (s.result_received_at, s.result_digest) < (o.result_received_at, o.result_digest);
ALTER TABLE transaction_starts
    DROP CONSTRAINT transaction_starts_pkey,
    DROP COLUMN result_digest, DROP COLUMN link_kind, DROP COLUMN distance_us,
    ADD PRIMARY KEY (charge_station_id, event_time, evse_id, digest, transaction_id);

DROP INDEX transactions_id_token, transactions_stopped_at;
DELETE FROM transactions WHERE start_key <> '';
ALTER TABLE transactions
    DROP CONSTRAINT transactions_pkey,
    DROP COLUMN start_key,
    ADD PRIMARY KEY (charge_station_id, partition_time, transaction_id);
COMMENT ON COLUMN transactions.transaction_id IS 'The transaction''s id as text: unique per station only. An id that is no id (0, -1: the station never got one) has "@" and the digest of its event behind it.';

DELETE FROM transaction_keys WHERE start_key <> '' OR partition_time IS NULL;
ALTER TABLE transaction_keys
    DROP CONSTRAINT transaction_keys_pkey, -- the index on begins_at goes with its column
    DROP COLUMN start_key, DROP COLUMN split, DROP COLUMN begins_at, DROP COLUMN fresh,
    ALTER partition_time SET NOT NULL,
    ADD PRIMARY KEY (charge_station_id, transaction_id);
COMMENT ON TABLE transaction_keys IS 'Makes (station, transaction) unique across the partitions of transactions, which a constraint there cannot, and is what workers lock before they merge';
COMMENT ON COLUMN transaction_keys.partition_time IS 'Where the row in transactions is';

CREATE VIEW sessions AS
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
    CASE WHEN t.meter_start BETWEEN -1e60 AND 1e60 AND t.meter_stop BETWEEN -1e60 AND 1e60
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
    t.partition_time
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
COMMENT ON VIEW sessions IS 'One row per transaction: who, where, when, how much, why it ended; incomplete says in words what is missing';

-- Everything that is asked about a session is asked with a range of time at its own station, so that
-- each question is a few index look-ups in one or two partitions; filter by station or
-- partition_time.
CREATE VIEW suspicious_sessions AS
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
    t.partition_time
FROM transactions t
CROSS JOIN LATERAL (
    SELECT coalesce(t.stopped_at, t.last_event_at) AS over_at,
        least(coalesce(t.stopped_at, 'infinity'),
            coalesce(t.started_at, t.first_event_at) + interval '31 days') AS until
) e
LEFT JOIN LATERAL (
    SELECT o.transaction_id
    FROM transactions o
    WHERE o.charge_station_id = t.charge_station_id
      AND o.partition_time >= t.started_at - interval '31 days'
      AND o.partition_time < e.over_at
      AND o.evse_id = t.evse_id
      AND t.evse_id > 0
      AND o.transaction_id <> t.transaction_id
      AND o.started_at < e.over_at
      AND coalesce(o.stopped_at, o.last_event_at) > t.started_at
    ORDER BY o.transaction_id
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
    LIMIT 1
) heard ON t.stopped_at IS NULL
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE b.value < b.before) AS count
    FROM (
        SELECT m.value, lag(m.value) OVER (
            PARTITION BY m.measurand, m.phase, m.location, m.unit
            ORDER BY m.event_time, m.value) AS before
        FROM meter_samples m
        WHERE m.charge_station_id = t.charge_station_id
          AND m.event_time >= coalesce(t.started_at, t.first_event_at)
          AND m.event_time <= e.until
          AND isfinite(m.event_time)
          AND (m.transaction_id = t.transaction_id
              OR (m.transaction_id IS NULL AND m.evse_id = t.evse_id))
          AND m.measurand LIKE 'Energy.%.Register'
    ) b
) backwards
CROSS JOIN LATERAL (
    -- Oddities of writing (no zone, 24:00) are no reason for suspicion.
    SELECT flag_meanings(t.flags & ~3) || array_remove(ARRAY[
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

CREATE VIEW all_transactions AS
SELECT t.charge_station_id, t.transaction_id, t.id_token, t.id_token_type, t.started_at,
    t.stopped_at, t.stopped_reason, t.meter_start, t.meter_stop, t.seq_no_start, t.seq_no_stop,
    coalesce(t.offline, false) AS offline, t.total_cost, t.partition_time AS list_time,
    t.last_event_at
FROM transactions t
UNION ALL
SELECT s.charge_station_id, s.transaction_id, s.id_token, s.id_token_type, s.started_at,
    s.stopped_at, s.stopped_reason, s.meter_start, s.meter_stop, s.seq_no_start, s.seq_no_stop,
    coalesce(s.offline, false), s.total_cost, coalesce(s.started_at, s.stopped_at, s.created_at),
    NULL
FROM store_transactions s
WHERE NOT EXISTS (
    SELECT FROM transaction_keys k
    WHERE k.charge_station_id = s.charge_station_id AND k.transaction_id = s.transaction_id);
COMMENT ON VIEW all_transactions IS 'Transactions from what stations reported and, where they reported nothing, from what was told through the store';
SELECT grant_table(v) FROM unnest(ARRAY['sessions', 'suspicious_sessions', 'all_transactions']) v;
