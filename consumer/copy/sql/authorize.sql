-- Outcomes of Authorize: of several answers to a call, the last one received counts. Pairs whose
-- call is in a partition that somebody detached (starts.sql) are returned by number, counted from
-- 0.
WITH pairs AS MATERIALIZED (
    SELECT x.* FROM {unnest:exchange_pairs}
), best AS (
    SELECT DISTINCT ON (p.charge_station_id, p.event_time, p.evse_id, p.digest) p.*
    FROM pairs p
    ORDER BY p.charge_station_id, p.event_time, p.evse_id, p.digest, p.received_at DESC,
        p.result_digest DESC, p.distance_us, p.link_kind DESC
), updated AS (
    UPDATE authorizations a
    SET status = p.id_token_status,
        group_id_token = p.group_id_token,
        expiry_date = p.expiry_date,
        result_received_at = p.received_at,
        result_rank = (3 - p.link_kind) * 1000000000000000 + p.distance_us,
        result_digest = p.result_digest
    FROM best p
    WHERE a.charge_station_id = p.charge_station_id
      AND a.event_time = p.event_time
      AND a.evse_id = p.evse_id
      AND a.digest = p.digest
      AND (a.result_received_at IS NULL
          OR (p.received_at, p.result_digest) > (a.result_received_at, a.result_digest))
    RETURNING p.n
)
SELECT (p.n - 1)::integer
FROM pairs p
WHERE p.n NOT IN (SELECT u.n FROM updated u)
  AND (
    SELECT true
    FROM authorizations a
    WHERE a.charge_station_id = p.charge_station_id
      AND a.event_time = p.event_time
      AND a.evse_id = p.evse_id
      AND a.digest = p.digest
    LIMIT 1
) IS NULL
  AND EXISTS (
        SELECT FROM partition_of('authorizations', p.event_time) q
        JOIN pg_class c ON c.relname = q.name AND c.relkind IN ('r', 'f')
        WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid
            AND NOT coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false)))
ORDER BY p.n
