-- A page of them, in the order of their keys; $1: of one role only.
SELECT
    role, country_code, party_id, url, token, last_updated
FROM ocpi_parties
WHERE NOT deleted AND ($1::text IS NULL OR role = $1::text)
  AND (role, country_code, party_id)
    > (coalesce($2::text, ''), coalesce($3::text, ''), coalesce($4::text, ''))
ORDER BY role, country_code, party_id
LIMIT $5::integer
