-- Answers that did not name their action, or their request, with a copy or the call that does. A
-- name that an answer has of its own stays; one that it got from another call is replaced. Of
-- several copies of an answer, the one nearest to its call decides.
WITH best AS (
    SELECT DISTINCT ON (x.charge_station_id, x.event_time, x.evse_id, x.digest) x.*
    FROM {unnest:answer_names}
    ORDER BY x.charge_station_id, x.event_time, x.evse_id, x.digest, x.distance_us, x.action
)
UPDATE ocpp_events e
SET action = CASE WHEN e.action IN ('', x.former) THEN x.action ELSE e.action END,
    request = coalesce(e.request, x.request)
FROM best x
WHERE e.charge_station_id = x.charge_station_id
  AND e.event_time = x.event_time
  AND e.evse_id = x.evse_id
  AND e.digest = x.digest
  AND ((e.action IN ('', x.former) AND e.action <> x.action)
      OR (e.request IS NULL AND x.request IS NOT NULL))
