-- Events that were sent again with another message id: adds the ids that their rows do not have
-- yet; of more than 100, the lowest are kept, whichever came first. In the order of their keys, so
-- that two workers with the same events never deadlock.
UPDATE transaction_events e
SET resent_as = ARRAY(
    SELECT DISTINCT u.id COLLATE "C" FROM unnest(e.resent_as || x.ids) u (id)
    WHERE u.id IS DISTINCT FROM e.message_id
    ORDER BY 1
    LIMIT 100)
FROM (
    SELECT x.charge_station_id, x.event_time, x.evse_id, x.digest,
        array_agg(DISTINCT x.message_id) AS ids
    FROM {unnest:resent_events}
    WHERE x.message_id <> ''
    GROUP BY x.charge_station_id, x.event_time, x.evse_id, x.digest
    ORDER BY x.charge_station_id, x.event_time, x.evse_id, x.digest
    OFFSET 0) x
WHERE e.charge_station_id = x.charge_station_id
  AND e.event_time = x.event_time
  AND e.evse_id = x.evse_id
  AND e.digest = x.digest
  AND EXISTS (
    SELECT FROM unnest(x.ids) u (id)
    WHERE u.id <> ALL (coalesce(e.resent_as, ARRAY[]::text[]) || coalesce(e.message_id, ''))
      AND (e.resent_as[100] IS NULL OR u.id COLLATE "C" < e.resent_as[100] COLLATE "C"))
