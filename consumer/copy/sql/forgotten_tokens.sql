-- What stands for tokens that arrive although they were forgotten; a row without a hash if there are none.
SELECT s.salt, f.token_hash, f.pseudonym
FROM forgotten_salt s LEFT JOIN forgotten_tokens f ON true
