-- What is left is the key and the time, so that an older set does not bring it back.
INSERT INTO ocpi_registrations AS t (
    token, status, last_updated, deleted)
SELECT
    $1::text, '',
    coalesce($2::timestamptz, (
        SELECT greatest(now(), k.last_updated) FROM ocpi_registrations k
        WHERE k.token = $1::text), now()),
    true
ON CONFLICT (token) DO UPDATE
SET
    status = excluded.status, last_updated = excluded.last_updated, deleted = true,
    flags = NULL, updated_at = now()
WHERE excluded.last_updated >= t.last_updated
