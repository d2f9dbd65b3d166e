-- The conversation between station $1 and its CSMS in [$2, $3), with action $4 (NULL = all): by the
-- station's own time, or by that of receipt if it gave none or an invalid one. Reads the masked
-- views, by the key of each table. fresh: received after $5.
--
-- Rows are in order of receipt, since messages without a time of their own do not have the
-- station's clock. A message whose time is more than five minutes off (it waited while the station
-- was offline) is ordered by that time.
--
-- An answer follows the last call with its message id; the two come on two topics, so it may be
-- received a little earlier.
SELECT m.*, m.received_at > $5::timestamptz AS fresh,
    CASE WHEN m.kind IN ('result', 'error', 'result_error') AND m.received_at - m.asked[1]
            BETWEEN interval '-5 s' AND interval '10 min' THEN m.asked[2] END AS answers_at
FROM (
    SELECT u.*, max(ARRAY[u.received_at, u.at]) FILTER (WHERE u.kind = 'call' AND u.message_id <> '')
        OVER (PARTITION BY u.message_id, u.asker
            ORDER BY u.received_at - CASE u.kind WHEN 'call' THEN interval '5 s' ELSE interval '0' END,
                u.kind <> 'call' ROWS UNBOUNDED PRECEDING) AS asked
    FROM (
        SELECT o.*, CASE WHEN o.event_time > o.received_at - interval '5 min'
                AND o.event_time < o.received_at + interval '5 min' OR NOT isfinite(o.event_time)
            THEN o.received_at ELSE o.event_time END AS at
        FROM (
            SELECT e.event_time, e.received_at, e.direction, e.kind, e.action, e.message_id,
                CASE WHEN e.kind IN ('call', 'send') THEN e.direction
                    WHEN e.direction = 'in' THEN 'out' ELSE 'in' END AS asker,
                nullif(e.evse_id, -1) AS evse_id, e.connector_id, NULL::text AS transaction_id,
                e.error_code, e.error_description, e.flags, e.digest, e.time_text, e.payload,
                NULL::text AS words
            FROM (
                SELECT * FROM ocpp_events_masked
                WHERE charge_station_id = $1 AND event_time >= $2::timestamptz
                  AND event_time < $3::timestamptz
                UNION ALL
                SELECT * FROM ocpp_events_masked
                WHERE charge_station_id = $1 AND event_time = '-infinity'
                  AND received_at >= $2 AND received_at < $3
            ) e
            UNION ALL
            SELECT t.event_time, t.received_at, 'in', 'call',
                CASE WHEN t.ocpp_version <> '1.6' THEN 'TransactionEvent'
                    WHEN t.event_type = 'Started' THEN 'StartTransaction' ELSE 'StopTransaction' END,
                t.message_id, 'in', nullif(t.evse_id, -1), t.connector_id, t.transaction_id, NULL, NULL,
                t.flags, t.digest, t.time_text,
                jsonb_strip_nulls(to_jsonb(t) - ARRAY['charge_station_id', 'event_time', 'evse_id',
                    'connector_id', 'digest', 'received_at', 'time_source', 'time_text', 'flags',
                    'ocpp_version', 'message_id', 'resent_as']),
                NULL
            FROM (
                SELECT * FROM transaction_events_masked
                WHERE charge_station_id = $1 AND event_time >= $2 AND event_time < $3
                UNION ALL
                SELECT * FROM transaction_events_masked
                WHERE charge_station_id = $1 AND event_time = '-infinity'
                  AND received_at >= $2 AND received_at < $3
            ) t
            UNION ALL
            SELECT a.event_time, a.received_at, 'in', 'call', 'Authorize', a.message_id, 'in', NULL, NULL,
                NULL, NULL, NULL, a.flags, a.digest, NULL,
                jsonb_strip_nulls(jsonb_build_object('id_token', a.id_token, 'id_token_type',
                    a.id_token_type, 'extra', a.extra)),
                NULL
            FROM authorizations_masked a
            WHERE a.charge_station_id = $1 AND a.event_time >= $2 AND a.event_time < $3
            UNION ALL
            -- One line per reading; those of transaction events are not calls of their own.
            SELECT v.event_time, v.received_at, 'in', CASE v.source WHEN 'M' THEN 'call' ELSE 'values' END,
                CASE v.source WHEN 'M' THEN 'MeterValues' WHEN 'E' THEN 'TransactionEvent'
                    ELSE 'StopTransaction' END,
                NULL, 'in', nullif(v.evse_id, -1), v.connector_id, v.transaction_id, NULL, NULL, v.flags,
                v.digest, v.time_text, jsonb_build_object('sampled_value', s.samples), s.words
            FROM (
                SELECT * FROM meter_values_masked
                WHERE charge_station_id = $1 AND event_time >= $2 AND event_time < $3
                UNION ALL
                SELECT * FROM meter_values_masked
                WHERE charge_station_id = $1 AND event_time = '-infinity'
                  AND received_at >= $2 AND received_at < $3
            ) v
            LEFT JOIN meter_value_layouts l ON l.layout_id = v.layout_id
            CROSS JOIN LATERAL (
                SELECT CASE WHEN v.layout_id = 0 THEN v.raw -> 'samples' ELSE jsonb_agg(
                        jsonb_strip_nulls(jsonb_build_object('value', p.shown, 'measurand', p.measurand,
                            'phase', p.phase, 'context', p.context, 'location', p.location,
                            'unit', p.unit, 'multiplier', p.multiplier)) ORDER BY p.position) END
                        AS samples,
                    string_agg(concat_ws(' ', p.measurand, p.phase, p.shown #>> '{}', p.unit), ', '
                        ORDER BY p.position) AS words
                FROM (
                    SELECT n.*, coalesce(v.raw #> ARRAY['text', n.position::text], to_jsonb(n.value))
                        AS shown
                    FROM unnest(v.sampled, l.measurand, l.phase, l.context, l.location, l.unit,
                        l.multiplier) WITH ORDINALITY AS n (value, measurand, phase, context, location,
                        unit, multiplier, position)
                ) p
            ) s
        ) o
    ) u
) m
WHERE $4::text IS NULL OR m.action = $4
