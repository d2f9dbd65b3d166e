-- One of them.
SELECT
    token, status, last_updated
FROM ocpi_registrations
WHERE token = $1::text AND NOT deleted
