-- counted_seq stays: older programs take it for what it is.

DO $migration$
BEGIN
    EXECUTE replace(replace($sql$

CREATE OR REPLACE FUNCTION @.check_no_table(name text, parent text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = '{schema}'::regnamespace
            AND c.relname = check_no_table.name) AND NOT @.partition_exists(parent, name) THEN
        RAISE EXCEPTION 'table "%" is where it belongs, but is no partition of "%"', name, parent
            USING ERRCODE = 'OC001',
                HINT = 'attach it again, or move it to another schema, or drop it';
    END IF;
END $$

    $sql$, '@', quote_ident(current_schema())), '{schema}',
        replace(quote_ident(current_schema()), '''', ''''''));
END $migration$;

COMMENT ON COLUMN ingest_progress.counted_seq IS 'Record up to which the columns below count. If it is not seq, somebody has set seq by hand, and they say nothing';
