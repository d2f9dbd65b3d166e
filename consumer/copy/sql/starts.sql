-- 1.6: starts and the results that give them an id. A start that is not found may be in a partition
-- that somebody detached, and left there or moved to another schema: a table with its name that is
-- nobody's partition. The pair's number is returned, too, counted from 0.
SELECT e.charge_station_id, e.event_time, e.evse_id, e.digest, e.connector_id, e.ocpp_version,
    e.id_token, e.meter_start::text, e.reservation_id, e.flags, e.received_at,
    x.transaction_id, x.received_at, x.result_digest, x.id_token_status, x.group_id_token,
    x.expiry_date, x.link_kind, x.distance_us, (x.n - 1)::integer,
    CASE WHEN e.digest IS NULL THEN EXISTS (
        SELECT FROM partition_of('transaction_events', x.event_time) q
        JOIN pg_class c ON c.relname = q.name AND c.relkind IN ('r', 'f')
        WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid
            AND NOT coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false))) END
FROM {unnest:exchange_pairs}
LEFT JOIN LATERAL (
    SELECT t.* FROM transaction_events t
    WHERE t.charge_station_id = x.charge_station_id AND t.event_time = x.event_time
      AND t.evse_id = x.evse_id AND t.digest = x.digest
    OFFSET 0) e ON true
ORDER BY x.n
