-- Tokens that somebody asked to forget (`ocpp-persister forget`). They arrive once more all the same, late
-- or from an old log, so they have to be recognised; not by themselves, which are to be forgotten.

CREATE TABLE forgotten_salt (
    salt bytea NOT NULL CHECK (length(salt) >= 16)
);
CREATE UNIQUE INDEX forgotten_salt_once ON forgotten_salt ((true));
COMMENT ON TABLE forgotten_salt IS 'One row: what the hashes of forgotten tokens are made with. For the program';
COMMENT ON COLUMN forgotten_salt.salt IS 'Random, of this database alone; with another one no forgotten token is recognised any more';
INSERT INTO forgotten_salt SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

CREATE TABLE forgotten_tokens (
    token_hash bytea PRIMARY KEY,
    pseudonym text NOT NULL UNIQUE,
    forgotten_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE forgotten_tokens IS 'Tokens that are forgotten, and what is stored instead if they arrive once more. Without its row a token that arrives is stored again.';
COMMENT ON COLUMN forgotten_tokens.token_hash IS 'HMAC-SHA256 of the token in lower case, with forgotten_salt';
COMMENT ON COLUMN forgotten_tokens.pseudonym IS 'Random, as long as the token';
COMMENT ON COLUMN forgotten_tokens.forgotten_at IS 'When it was asked for first';
SELECT grant_table('forgotten_tokens');
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        GRANT SELECT ON forgotten_salt TO ocpp_writer;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        REVOKE SELECT ON forgotten_tokens FROM ocpp_reader;
    END IF;
END $$;

ALTER TABLE ingest_progress ADD COLUMN forgotten bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN ingest_progress.forgotten IS 'Counts changes of forgotten_tokens since the row was made: a worker that finds another number than before reads the list again, before it stores anything';
