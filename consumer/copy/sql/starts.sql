-- 1.6: starts and the results that give them an id, all pairs that fit; which one counts is decided
-- where transactions are merged.
{pairs.sql}
SELECT e.charge_station_id, e.event_time, e.evse_id, e.digest, e.connector_id, e.ocpp_version,
    e.id_token, e.meter_start::text, e.reservation_id, e.flags,
    p.transaction_id, p.received_at, p.result_digest, p.id_token_status, p.group_id_token,
    p.expiry_date, p.link_kind, p.distance_us
FROM pairs p
CROSS JOIN LATERAL (
    SELECT t.* FROM transaction_events t
    WHERE t.charge_station_id = p.charge_station_id AND t.event_time = p.event_time
      AND t.evse_id = p.evse_id AND t.digest = p.digest
    OFFSET 0) e
WHERE p.action = 'StartTransaction' AND p.transaction_id IS NOT NULL
