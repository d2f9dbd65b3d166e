-- Pseudonyms for forgotten tokens that still arrive; a row without a hash if there are none.
SELECT s.salt, f.token_hash, f.pseudonym
FROM forgotten_salt s LEFT JOIN forgotten_tokens f ON true
