-- Pseudonyms of tokens that were forgotten after the file was written.
SELECT s.salt, f.token_hash, f.pseudonym
FROM forgotten_salt s LEFT JOIN forgotten_tokens f ON true
