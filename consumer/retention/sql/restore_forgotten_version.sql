-- Another text whenever a token was added to the list, or taken from it.
SELECT format('%s %s', count(*), sum(hashtextextended(encode(token_hash, 'hex') || pseudonym, 0)))
FROM forgotten_tokens
