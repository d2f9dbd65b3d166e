-- A layout gives a meaning to rows that were stored long ago, and every process that is connected knows
-- it by heart: it is written once. With that, `verify` and the views of all readers agree.

CREATE FUNCTION refuse_layout_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'layouts of meter values are never changed: rows that are stored are read by them'
        USING ERRCODE = '55000', HINT = 'another layout has another id. To repair a table: stop all '
            'workers, ALTER TABLE meter_value_layouts DISABLE TRIGGER layouts_stay, and enable it again';
END $$;
COMMENT ON FUNCTION refuse_layout_change IS 'Refuses UPDATE, DELETE and TRUNCATE of meter_value_layouts';

CREATE TRIGGER layouts_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON meter_value_layouts
FOR EACH STATEMENT EXECUTE FUNCTION refuse_layout_change();

COMMENT ON TABLE meter_value_layouts IS 'What the positions of meter_values.sampled measure. A station sends the same set of samples every time, so the set is stored once. The id is the digest of the set: it is the same in every worker and every database. Rows are never changed or removed.';
