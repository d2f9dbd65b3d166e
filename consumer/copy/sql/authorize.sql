-- Outcomes of Authorize: of all results that fit a call, the one that fits best.
{pairs.sql}, best AS (
    SELECT DISTINCT ON (p.charge_station_id, p.event_time, p.evse_id, p.digest) p.*,
        (3 - p.link_kind) * 1000000000000000 + p.distance_us AS result_rank
    FROM pairs p
    WHERE p.action = 'Authorize'
    ORDER BY p.charge_station_id, p.event_time, p.evse_id, p.digest, p.link_kind DESC,
        p.distance_us, p.result_digest DESC
)
UPDATE authorizations a
SET status = p.id_token_status,
    group_id_token = p.group_id_token,
    expiry_date = p.expiry_date,
    result_received_at = p.received_at,
    result_rank = p.result_rank,
    result_digest = p.result_digest
FROM best p
WHERE a.charge_station_id = p.charge_station_id
  AND a.event_time = p.event_time
  AND a.evse_id = p.evse_id
  AND a.digest = p.digest
  AND (a.result_rank IS NULL OR p.result_rank < a.result_rank
      OR (p.result_rank = a.result_rank AND p.result_digest > a.result_digest))
