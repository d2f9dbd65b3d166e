-- A partition that somebody moved to another schema without detaching it: its rows are there, but it
-- is not found by its name, and another one cannot be made in its place. New rows for it are dead
-- letters of the reason partition_detached, as for one that is detached and left where it was.

DO $migration$
BEGIN
    EXECUTE replace(replace($sql$

CREATE OR REPLACE FUNCTION @.check_no_table(name text, parent text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    elsewhere text;
BEGIN
    IF EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = '{schema}'::regnamespace
            AND c.relname = check_no_table.name) AND NOT @.partition_exists(parent, name) THEN
        RAISE EXCEPTION 'table "%" is where it belongs, but is no partition of "%"', name, parent
            USING ERRCODE = 'OC001',
                HINT = 'attach it again, or move it to another schema, or drop it';
    END IF;
    SELECT c.relnamespace::regnamespace::text INTO elsewhere
    FROM pg_class c
    JOIN pg_inherits i ON i.inhrelid = c.oid
    JOIN pg_class p ON p.oid = i.inhparent
    WHERE c.relname = check_no_table.name AND c.relnamespace <> '{schema}'::regnamespace
      AND p.relname = check_no_table.parent AND p.relnamespace = '{schema}'::regnamespace;
    IF FOUND THEN
        RAISE EXCEPTION 'partition "%" of "%" was moved to schema %', name, parent, elsewhere
            USING ERRCODE = 'OC001',
                HINT = format('ALTER TABLE %s.%I SET SCHEMA %s, or detach it', elsewhere, name,
                    '{schema}');
    END IF;
END $$

    $sql$, '@', quote_ident(current_schema())), '{schema}',
        replace(quote_ident(current_schema()), '''', ''''''));
END $migration$;

-- From here on a row without counted_seq was made by hand: whoever claims writes it.
UPDATE ingest_progress SET counted_seq = seq WHERE counted_seq IS NULL AND asked IS NULL;
COMMENT ON COLUMN ingest_progress.counted_seq IS 'Record up to which the columns below count. If it is not seq, somebody has set seq by hand, and they say nothing. NULL: of a replay that has stored nothing yet, or somebody made the row by hand: then nobody claimed what is up to seq, and the log is fed from its beginning';
