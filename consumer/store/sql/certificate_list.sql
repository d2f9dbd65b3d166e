-- A page of them, in the order of their keys.
SELECT
    certificate_hash, certificate_type, pem, last_updated
FROM certificates
WHERE NOT deleted AND certificate_hash > coalesce($1::text, '')
ORDER BY certificate_hash
LIMIT $2::integer
