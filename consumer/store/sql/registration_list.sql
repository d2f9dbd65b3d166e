-- A page of them, in the order of their keys.
SELECT
    token, status, last_updated
FROM ocpi_registrations
WHERE NOT deleted AND token > coalesce($1::text, '')
ORDER BY token
LIMIT $2::integer
