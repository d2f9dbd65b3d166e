-- What is left is the key and the time, so that an older set does not bring it back.
INSERT INTO certificates AS t (
    certificate_hash, certificate_type, pem, last_updated, deleted)
SELECT
    $1::text, '', '',
    coalesce($2::timestamptz, (
        SELECT greatest(now(), k.last_updated) FROM certificates k
        WHERE k.certificate_hash = $1::text), now()),
    true
ON CONFLICT (certificate_hash) DO UPDATE
SET
    certificate_type = excluded.certificate_type, pem = excluded.pem,
    last_updated = excluded.last_updated, deleted = true, flags = NULL, updated_at = now()
WHERE excluded.last_updated >= t.last_updated
