-- One of them.
SELECT
    id, country_code, party_id, location, last_updated
FROM locations
WHERE id = $1::text AND NOT deleted
