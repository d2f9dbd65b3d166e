-- One of them.
SELECT
    role, country_code, party_id, url, token, last_updated
FROM ocpi_parties
WHERE role = $1::text AND country_code = $2::text AND party_id = $3::text AND NOT deleted
