-- Certificates to install: of two for one key the one said last counts, whichever comes first.
-- Without a time of its own it is newer than what is there.
INSERT INTO charge_station_certificates AS t (
    charge_station_id, certificate_id, certificate_type, certificate, status, send_after,
    last_updated)
SELECT DISTINCT ON (x.charge_station_id, x.certificate_id)
    x.charge_station_id, x.certificate_id, x.certificate_type, x.certificate, x.status,
    x.send_after, x.said
FROM (
    SELECT x.*, coalesce(x.last_updated, (
        SELECT greatest(now(), k.last_updated + interval '1 microsecond')
        FROM charge_station_certificates k
        WHERE k.charge_station_id = x.charge_station_id
            AND k.certificate_id = x.certificate_id), now())
        AS said
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
        $7::timestamptz[]) 
    WITH ORDINALITY AS x (
        charge_station_id, certificate_id, certificate_type, certificate, status, send_after,
        last_updated, n)
) x
ORDER BY x.charge_station_id, x.certificate_id, x.said DESC, x.n DESC
ON CONFLICT (charge_station_id, certificate_id) DO UPDATE
SET
    certificate_type = excluded.certificate_type, certificate = excluded.certificate,
    status = excluded.status, send_after = excluded.send_after,
    last_updated = excluded.last_updated, deleted = false, flags = NULL, updated_at = now()
WHERE excluded.last_updated > t.last_updated
   OR (excluded.last_updated = t.last_updated AND NOT t.deleted)
