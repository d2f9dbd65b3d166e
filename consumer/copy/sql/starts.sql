-- 1.6: starts and the results that give them an id, all pairs that fit; which one counts is
-- decided where transactions are merged. The half that came last brings the other one here.
SELECT e.charge_station_id, e.event_time, e.evse_id, e.digest, e.connector_id, e.ocpp_version,
    e.id_token, e.meter_start::text, e.reservation_id, e.flags,
    r.transaction_id, r.received_at, r.digest, r.id_token_status, r.group_id_token, r.expiry_date,
    CASE WHEN r.trace_id = c.trace_id THEN 3 WHEN r.received_at >= c.received_at THEN 2
        ELSE 1 END AS link_kind,
    abs(extract(epoch FROM r.received_at - c.received_at) * 1000000)::bigint AS distance_us
FROM {unnest:exchange_halves}
JOIN exchange_halves o ON o.charge_station_id = x.charge_station_id
    AND o.message_id = x.message_id
    AND o.half <> x.half
    AND o.received_at >= x.received_at - {next:exchange_halves}::bigint * interval '1 microsecond'
    AND o.received_at <= x.received_at + {next:exchange_halves}::bigint * interval '1 microsecond'
JOIN exchange_halves c ON c.charge_station_id = x.charge_station_id
    AND c.message_id = x.message_id AND c.half = 'c'
    AND c.received_at = CASE WHEN x.half = 'c' THEN x.received_at ELSE o.received_at END
    AND c.digest = CASE WHEN x.half = 'c' THEN x.digest ELSE o.digest END
JOIN exchange_halves r ON r.charge_station_id = x.charge_station_id
    AND r.message_id = x.message_id AND r.half = 'r'
    AND r.received_at = CASE WHEN x.half = 'r' THEN x.received_at ELSE o.received_at END
    AND r.digest = CASE WHEN x.half = 'r' THEN x.digest ELSE o.digest END
JOIN transaction_events e ON e.charge_station_id = c.charge_station_id
    AND e.event_time = c.event_time AND e.evse_id = c.evse_id AND e.digest = c.digest
WHERE c.action = 'StartTransaction' AND r.action IN ('StartTransaction', '')
  AND r.transaction_id IS NOT NULL
  AND (r.trace_id IS NULL OR c.trace_id IS NULL OR r.trace_id = c.trace_id)
