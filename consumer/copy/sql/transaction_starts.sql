-- Which start got which id from which result. Of copies of a result, the one received last is kept.
INSERT INTO transaction_starts ({columns:transaction_starts})
SELECT DISTINCT ON (x.charge_station_id, x.event_time, x.evse_id, x.digest, x.transaction_id,
    x.result_digest)
    {x_columns:transaction_starts}
FROM {unnest:transaction_starts}
ORDER BY x.charge_station_id, x.event_time, x.evse_id, x.digest, x.transaction_id,
    x.result_digest, x.result_received_at DESC
ON CONFLICT (charge_station_id, event_time, evse_id, digest, transaction_id, result_digest)
DO UPDATE
SET result_received_at = excluded.result_received_at,
    id_token_status = excluded.id_token_status,
    group_id_token = excluded.group_id_token,
    expiry_date = excluded.expiry_date,
    link_kind = excluded.link_kind,
    distance_us = excluded.distance_us
WHERE excluded.result_received_at > transaction_starts.result_received_at
