-- One certificate of a station, or without $2 all that are there. What is left is the key and the
-- time, so that an older set does not bring it back.
INSERT INTO charge_station_certificates AS t (
    charge_station_id, certificate_id, certificate_type, certificate, status, last_updated,
    deleted)
SELECT
    $1::text, x.certificate_id, '', '', '', coalesce($3::timestamptz, x.newest, now()), true
FROM (
    SELECT $2::text, (
        SELECT greatest(now(), k.last_updated) FROM charge_station_certificates k
        WHERE k.charge_station_id = $1::text AND k.certificate_id = $2::text)
    WHERE $2::text IS NOT NULL
    UNION ALL
    SELECT k.certificate_id, greatest(now(), k.last_updated) FROM charge_station_certificates k
    WHERE $2::text IS NULL AND k.charge_station_id = $1::text
) x (certificate_id, newest)
ORDER BY x.certificate_id
ON CONFLICT (charge_station_id, certificate_id) DO UPDATE
SET
    certificate_type = excluded.certificate_type, certificate = excluded.certificate,
    status = excluded.status, send_after = excluded.send_after,
    last_updated = excluded.last_updated, deleted = true, flags = NULL, updated_at = now()
WHERE excluded.last_updated >= t.last_updated
