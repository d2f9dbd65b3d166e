-- What is left is the key and the time, so that an older set does not bring it back.
INSERT INTO tokens AS t (
    uid, type, country_code, party_id, contract_id, issuer, valid, cache_mode, last_updated,
    deleted)
SELECT
    $1::text, '', '', '', '', '', false, '',
    coalesce($2::timestamptz, (
        SELECT greatest(now(), k.last_updated) FROM tokens k
        WHERE k.uid = $1::text), now()),
    true
ON CONFLICT (uid) DO UPDATE
SET
    type = excluded.type, country_code = excluded.country_code, party_id = excluded.party_id,
    contract_id = excluded.contract_id, visual_number = excluded.visual_number,
    issuer = excluded.issuer, group_id = excluded.group_id, valid = excluded.valid,
    language_code = excluded.language_code, cache_mode = excluded.cache_mode,
    last_updated = excluded.last_updated, deleted = true, flags = NULL, updated_at = now()
WHERE excluded.last_updated >= t.last_updated
