-- One of them.
SELECT
    uid, type, country_code, party_id, contract_id, visual_number, issuer, group_id, valid,
    language_code, cache_mode, last_updated
FROM tokens
WHERE uid = $1::text AND NOT deleted
