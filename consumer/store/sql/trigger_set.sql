-- Messages to ask for: of two for one key the one said last counts, whichever comes first.
-- Without a time of its own it is newer than what is there.
INSERT INTO charge_station_triggers AS t (
    charge_station_id, message_type, status, connector_id, send_after, last_updated)
SELECT DISTINCT ON (x.charge_station_id)
    x.charge_station_id, x.message_type, x.status, x.connector_id, x.send_after, x.said
FROM (
    SELECT x.*, coalesce(x.last_updated, (
        SELECT greatest(now(), k.last_updated + interval '1 microsecond')
        FROM charge_station_triggers k
        WHERE k.charge_station_id = x.charge_station_id), now())
        AS said
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::integer[], $5::timestamptz[], $6::timestamptz[]) 
    WITH ORDINALITY AS x (
        charge_station_id, message_type, status, connector_id, send_after, last_updated, n)
) x
ORDER BY x.charge_station_id, x.said DESC, x.n DESC
ON CONFLICT (charge_station_id) DO UPDATE
SET
    message_type = excluded.message_type, status = excluded.status,
    connector_id = excluded.connector_id, send_after = excluded.send_after,
    last_updated = excluded.last_updated, deleted = false, flags = NULL, updated_at = now()
WHERE excluded.last_updated > t.last_updated
   OR (excluded.last_updated = t.last_updated AND NOT t.deleted)
