-- The events, starts, costs and flags of ids that were used more than once, each from the last
-- session on that began before the new facts ($3: their time) while no other was open, and that was
-- not the first: only all events show whether there is more than one session. Numbers count from 0.
-- A fact without a time of its own counts at its receipt. Braces of arrays would be placeholders
-- here: hence -> and ->>.
--
-- If those are too many (in a batch of one record, $4, its ids share the room of two), the facts are
-- read from the hundredth session before the new ones, or just the new ones and those after them:
-- kind y. If even these are too many, or if the id has one row as yet, nothing is read: kind x.
WITH asked AS MATERIALIZED (
    SELECT (x.n - 1)::integer AS n, x.charge_station_id, x.transaction_id, x.earliest,
        CASE WHEN x.alone THEN least(10000, 20000 / cardinality($1) + 1)
            ELSE 10000 END AS facts_max,
        EXISTS (
            SELECT FROM transaction_keys k
            WHERE k.charge_station_id = x.charge_station_id
              AND k.transaction_id = x.transaction_id
              AND k.start_key = '' AND k.partition_time IS NOT NULL) AS whole,
        (
            SELECT k.begins_at FROM transaction_keys k
            WHERE k.charge_station_id = x.charge_station_id
              AND k.transaction_id = x.transaction_id AND k.begins_at < x.earliest
            ORDER BY k.begins_at DESC
            OFFSET 99 LIMIT 1) AS recent,
        coalesce((
            SELECT max(k.begins_at) FROM transaction_keys k
            WHERE k.charge_station_id = x.charge_station_id
              AND k.transaction_id = x.transaction_id
              AND k.fresh AND k.begins_at < x.earliest
              AND EXISTS (
                  SELECT FROM transaction_keys o
                  WHERE o.charge_station_id = k.charge_station_id
                    AND o.transaction_id = k.transaction_id
                    AND o.begins_at < k.begins_at)), '-infinity') AS fresh
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::boolean[]) WITH ORDINALITY
        AS x (charge_station_id, transaction_id, earliest, alone, n)
), bounded AS MATERIALIZED (
    SELECT a.n, a.charge_station_id, a.transaction_id, a.facts_max, s.since, s.choice
    FROM asked a
    LEFT JOIN LATERAL (
        SELECT c.choice, c.since
        FROM (VALUES (1, a.fresh), (2, a.recent), (3, a.earliest)) c (choice, since)
        WHERE (c.choice = 1 OR (c.since IS NOT NULL AND NOT a.whole))
          AND a.facts_max >= (
            SELECT count(*)
            FROM (
                SELECT FROM transaction_events e
                WHERE e.charge_station_id = a.charge_station_id AND e.event_time >= c.since
                  AND e.transaction_id = a.transaction_id
              UNION ALL
                SELECT FROM transaction_events e
                WHERE c.since > '-infinity' AND e.charge_station_id = a.charge_station_id
                  AND e.event_time = '-infinity' AND e.received_at >= c.since
                  AND e.transaction_id = a.transaction_id
              UNION ALL
                SELECT FROM transaction_starts s
                WHERE s.charge_station_id = a.charge_station_id
                  AND s.event_time >= c.since AND s.event_time > '-infinity'
                  AND s.transaction_id = a.transaction_id
              UNION ALL
                SELECT FROM transaction_starts s
                CROSS JOIN LATERAL (
                    SELECT FROM transaction_events e
                    WHERE e.charge_station_id = s.charge_station_id
                      AND e.event_time = '-infinity' AND e.evse_id = s.evse_id
                      AND e.digest = s.digest AND e.received_at >= c.since
                    OFFSET 0) e
                WHERE s.charge_station_id = a.charge_station_id
                  AND s.event_time = '-infinity' AND s.transaction_id = a.transaction_id
                LIMIT a.facts_max + 1) f)
        ORDER BY c.choice
        LIMIT 1) s ON true
), found AS (
    SELECT a.n, a.since, 'e' AS kind, e.*, NULL::timestamptz AS result_received_at,
        NULL::bigint AS result_digest, NULL::text AS id_token_status,
        NULL::text AS group_id_token, NULL::integer AS link_kind, NULL::bigint AS distance_us
    FROM bounded a
    CROSS JOIN LATERAL (
        SELECT e.* FROM transaction_events e
        WHERE e.charge_station_id = a.charge_station_id AND e.event_time >= a.since
          AND e.transaction_id = a.transaction_id
        OFFSET 0) e
  UNION ALL
    SELECT a.n, a.since, 'e', e.*, NULL, NULL, NULL, NULL, NULL, NULL
    FROM bounded a
    CROSS JOIN LATERAL (
        SELECT e.* FROM transaction_events e
        WHERE a.since > '-infinity' AND e.charge_station_id = a.charge_station_id
          AND e.event_time = '-infinity' AND e.received_at >= a.since
          AND e.transaction_id = a.transaction_id
        OFFSET 0) e
  UNION ALL
    SELECT a.n, a.since, 's', e.*, s.result_received_at, s.result_digest, s.id_token_status,
        s.group_id_token, s.link_kind, s.distance_us
    FROM bounded a
    CROSS JOIN LATERAL (
        SELECT s.* FROM transaction_starts s
        WHERE s.charge_station_id = a.charge_station_id
          AND (s.event_time >= a.since OR s.event_time = '-infinity')
          AND s.transaction_id = a.transaction_id
        OFFSET 0) s
    CROSS JOIN LATERAL (
        SELECT e.* FROM transaction_events e
        WHERE e.charge_station_id = s.charge_station_id AND e.event_time = s.event_time
          AND e.evse_id = s.evse_id AND e.digest = s.digest
          AND (e.event_time > '-infinity' OR e.received_at >= a.since)
        OFFSET 0) e
)
SELECT f.n, f.since, f.kind, f.charge_station_id, f.event_time, f.evse_id, f.digest,
    f.received_at, f.flags, f.connector_id, f.ocpp_version, f.event_type, f.seq_no,
    f.trigger_reason, f.charging_state, f.id_token, f.id_token_type, f.meter_start::text,
    f.meter_stop::text, f.stopped_reason, f.offline, f.reservation_id, f.remote_start_id,
    (f.readings -> 'start' ->> 0)::integer, (f.readings -> 'start' ->> 1)::bigint,
    (f.readings -> 'start' ->> 2)::bigint, f.readings -> 'start' ->> 3,
    (f.readings -> 'stop' ->> 0)::integer, (f.readings -> 'stop' ->> 1)::bigint,
    (f.readings -> 'stop' ->> 2)::bigint, f.readings -> 'stop' ->> 3,
    f.result_received_at, f.result_digest, f.id_token_status, f.group_id_token, f.link_kind,
    f.distance_us, NULL::text, (f.readings ->> 'flags')::integer
FROM found f
UNION ALL
SELECT a.n, a.since, 'c', NULL, NULL, NULL, c.digest, c.received_at, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, c.total_cost::text, NULL
FROM bounded a
CROSS JOIN LATERAL (
    SELECT c.* FROM transaction_costs c
    WHERE c.charge_station_id = a.charge_station_id AND c.transaction_id = a.transaction_id
      AND c.received_at >= a.since
    ORDER BY c.received_at DESC
    LIMIT a.facts_max) c
UNION ALL
SELECT a.n, a.since, 'f', NULL, w.event_time, w.evse_id, NULL, w.event_time, w.flags, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM bounded a
CROSS JOIN LATERAL (
    SELECT w.* FROM transaction_flags w
    WHERE w.charge_station_id = a.charge_station_id AND w.transaction_id = a.transaction_id
      AND w.event_time >= a.since
    ORDER BY w.event_time DESC
    LIMIT a.facts_max) w
UNION ALL
SELECT a.n, a.since, CASE WHEN a.since IS NULL THEN 'x' ELSE 'y' END, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM bounded a
WHERE a.since IS NULL OR a.choice > 1
ORDER BY 1, 8
