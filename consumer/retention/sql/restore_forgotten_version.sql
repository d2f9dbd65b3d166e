-- A text that changes whenever a token is added to the list, or removed from it.
SELECT format('%s %s', count(*), sum(hashtextextended(encode(token_hash, 'hex') || pseudonym, 0)))
FROM forgotten_tokens
