-- What is left is the key and the time, so that an older set does not bring it back.
INSERT INTO charge_station_triggers AS t (
    charge_station_id, message_type, status, last_updated, deleted)
SELECT
    $1::text, '', '',
    coalesce($2::timestamptz, (
        SELECT greatest(now(), k.last_updated) FROM charge_station_triggers k
        WHERE k.charge_station_id = $1::text), now()),
    true
ON CONFLICT (charge_station_id) DO UPDATE
SET
    message_type = excluded.message_type, status = excluded.status,
    connector_id = excluded.connector_id, send_after = excluded.send_after,
    last_updated = excluded.last_updated, deleted = true, flags = NULL, updated_at = now()
WHERE excluded.last_updated >= t.last_updated
