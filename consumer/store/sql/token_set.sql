-- Tokens: of two for one key the one said last counts, whichever comes first.
-- Without a time of its own it is newer than what is there.
INSERT INTO tokens AS t (
    uid, type, country_code, party_id, contract_id, visual_number, issuer, group_id, valid,
    language_code, cache_mode, last_updated)
SELECT DISTINCT ON (x.uid)
    x.uid, x.type, x.country_code, x.party_id, x.contract_id, x.visual_number, x.issuer,
    x.group_id, x.valid, x.language_code, x.cache_mode, x.said
FROM (
    SELECT x.*, coalesce(x.last_updated, (
        SELECT greatest(now(), k.last_updated + interval '1 microsecond')
        FROM tokens k
        WHERE k.uid = x.uid), now())
        AS said
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::boolean[], $10::text[], $11::text[], $12::timestamptz[]) 
    WITH ORDINALITY AS x (
        uid, type, country_code, party_id, contract_id, visual_number, issuer, group_id, valid,
        language_code, cache_mode, last_updated, n)
) x
ORDER BY x.uid, x.said DESC, x.n DESC
ON CONFLICT (uid) DO UPDATE
SET
    type = excluded.type, country_code = excluded.country_code, party_id = excluded.party_id,
    contract_id = excluded.contract_id, visual_number = excluded.visual_number,
    issuer = excluded.issuer, group_id = excluded.group_id, valid = excluded.valid,
    language_code = excluded.language_code, cache_mode = excluded.cache_mode,
    last_updated = excluded.last_updated, deleted = false, flags = NULL, updated_at = now()
WHERE excluded.last_updated > t.last_updated
   OR (excluded.last_updated = t.last_updated AND NOT t.deleted)
