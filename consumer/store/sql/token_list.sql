-- A page of them, in the order of their keys.
SELECT
    uid, type, country_code, party_id, contract_id, visual_number, issuer, group_id, valid,
    language_code, cache_mode, last_updated
FROM tokens
WHERE NOT deleted AND uid > coalesce($1::text, '')
ORDER BY uid
LIMIT $2::integer
