-- A page of them, in the order of their keys.
SELECT
    id, country_code, party_id, location, last_updated
FROM locations
WHERE NOT deleted AND id > coalesce($1::text, '')
ORDER BY id
LIMIT $2::integer
