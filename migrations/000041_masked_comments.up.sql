-- Comments on masked views are those of their tables, also after 000040 has changed some.

DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT v.relname AS view_name, a.attname AS column_name, d.description AS text
        FROM pg_class v
        JOIN pg_class t ON t.relnamespace = v.relnamespace AND t.relname || '_masked' = v.relname
            AND t.relkind IN ('r', 'p')
        JOIN pg_attribute b ON b.attrelid = t.oid
        JOIN pg_attribute a ON a.attrelid = v.oid AND a.attname = b.attname
        JOIN pg_description d ON d.objoid = t.oid AND d.classoid = 'pg_class'::regclass
            AND d.objsubid = b.attnum
        WHERE v.relnamespace = quote_ident(current_schema())::regnamespace AND v.relkind = 'v'
          AND a.attnum > 0 AND b.attnum > 0 AND NOT a.attisdropped AND NOT b.attisdropped
    LOOP
        EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', c.view_name, c.column_name, c.text);
    END LOOP;
END $$;
