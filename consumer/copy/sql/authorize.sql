-- Outcomes of Authorize: of all results that fit a call, the one that fits best. A result of the
-- same trace fits better than one received after the call, that better than one received before it;
-- then the nearest. The half that came last brings the other one here.
WITH new AS (
    SELECT x.* FROM {unnest:exchange_halves}
), pairs AS (
    SELECT DISTINCT ON (c.charge_station_id, c.event_time, c.evse_id, c.digest)
        c.charge_station_id, c.event_time, c.evse_id, c.digest,
        r.id_token_status, r.group_id_token, r.expiry_date, r.received_at,
        p.result_rank, r.digest AS result_digest
    FROM new
    JOIN exchange_halves o ON o.charge_station_id = new.charge_station_id
        AND o.message_id = new.message_id
        AND o.half <> new.half
        AND o.received_at >= new.received_at - {next:exchange_halves}::bigint * interval '1 microsecond'
        AND o.received_at <= new.received_at + {next:exchange_halves}::bigint * interval '1 microsecond'
    JOIN exchange_halves c ON c.charge_station_id = new.charge_station_id
        AND c.message_id = new.message_id AND c.half = 'c'
        AND c.received_at = CASE WHEN new.half = 'c' THEN new.received_at ELSE o.received_at END
        AND c.digest = CASE WHEN new.half = 'c' THEN new.digest ELSE o.digest END
    JOIN exchange_halves r ON r.charge_station_id = new.charge_station_id
        AND r.message_id = new.message_id AND r.half = 'r'
        AND r.received_at = CASE WHEN new.half = 'r' THEN new.received_at ELSE o.received_at END
        AND r.digest = CASE WHEN new.half = 'r' THEN new.digest ELSE o.digest END
    CROSS JOIN LATERAL (
        SELECT CASE WHEN r.trace_id = c.trace_id THEN 0 WHEN r.received_at >= c.received_at THEN 1
            ELSE 2 END * 1000000000000000
            + abs(extract(epoch FROM r.received_at - c.received_at) * 1000000)::bigint AS result_rank
    ) p
    WHERE c.action = 'Authorize' AND r.action IN ('Authorize', '')
      AND (r.trace_id IS NULL OR c.trace_id IS NULL OR r.trace_id = c.trace_id)
    ORDER BY c.charge_station_id, c.event_time, c.evse_id, c.digest, p.result_rank, r.digest DESC
)
UPDATE authorizations a
SET status = p.id_token_status,
    group_id_token = p.group_id_token,
    expiry_date = p.expiry_date,
    result_received_at = p.received_at,
    result_rank = p.result_rank,
    result_digest = p.result_digest
FROM pairs p
WHERE a.charge_station_id = p.charge_station_id
  AND a.event_time = p.event_time
  AND a.evse_id = p.evse_id
  AND a.digest = p.digest
  AND (a.result_rank IS NULL OR p.result_rank < a.result_rank
      OR (p.result_rank = a.result_rank AND p.result_digest > a.result_digest))
