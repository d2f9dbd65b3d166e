-- One of them.
SELECT
    certificate_hash, certificate_type, pem, last_updated
FROM certificates
WHERE certificate_hash = $1::text AND NOT deleted
