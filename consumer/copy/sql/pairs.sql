-- Calls and results that may belong together: of one station and message id, received within the
-- window of each other and not of two traces. The half that came last brings the other one here.
-- Of the same trace (link_kind 3) they fit better than a result received after the call (2), and
-- that better than one received before it (1); then the nearest.
-- OFFSET 0: from the few new halves by index to the others, whatever the size of the table is
-- believed to be.
WITH new AS (
    SELECT x.*, x.received_at - {next:exchange_halves}::bigint * interval '1 microsecond' AS not_before,
        x.received_at + {next:exchange_halves}::bigint * interval '1 microsecond' AS not_after
    FROM {unnest:exchange_halves}
), halves AS (
    SELECT c.charge_station_id, c.action, c.event_time, c.evse_id, c.digest,
        c.received_at AS called_at, c.trace_id AS call_trace_id, r.action AS result_action,
        r.transaction_id, r.received_at, r.digest AS result_digest, r.id_token_status,
        r.group_id_token, r.expiry_date, r.trace_id
    FROM new c
    CROSS JOIN LATERAL (
        SELECT h.* FROM exchange_halves h
        WHERE h.charge_station_id = c.charge_station_id AND h.message_id = c.message_id
          AND h.half = 'r' AND h.received_at BETWEEN c.not_before AND c.not_after
        OFFSET 0) r
    WHERE c.half = 'c'
  UNION ALL
    SELECT c.charge_station_id, c.action, c.event_time, c.evse_id, c.digest,
        c.received_at AS called_at, c.trace_id AS call_trace_id, r.action AS result_action,
        r.transaction_id, r.received_at, r.digest AS result_digest, r.id_token_status,
        r.group_id_token, r.expiry_date, r.trace_id
    FROM new r
    CROSS JOIN LATERAL (
        SELECT h.* FROM exchange_halves h
        WHERE h.charge_station_id = r.charge_station_id AND h.message_id = r.message_id
          AND h.half = 'c' AND h.received_at BETWEEN r.not_before AND r.not_after
        OFFSET 0) c
    WHERE r.half = 'r'
), pairs AS (
    SELECT h.*,
        CASE WHEN h.trace_id = h.call_trace_id THEN 3 WHEN h.received_at >= h.called_at THEN 2
            ELSE 1 END AS link_kind,
        abs(extract(epoch FROM h.received_at - h.called_at) * 1000000)::bigint AS distance_us
    FROM halves h
    WHERE h.result_action IN (h.action, '')
      AND (h.trace_id IS NULL OR h.call_trace_id IS NULL OR h.trace_id = h.call_trace_id)
)