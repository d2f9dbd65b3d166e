DROP FUNCTION make_partitioned(text, text, text);
DROP FUNCTION check_attached(text[]);
DROP FUNCTION ensure_partition(text, timestamptz);
DROP FUNCTION grant_table(text);
DROP FUNCTION partition_exists(text, text);
DROP FUNCTION partition_of(text, timestamptz);
DROP TABLE partitioned_tables;
-- The roles ocpp_writer and ocpp_reader stay: other databases of the cluster may use them.
DO $$
DECLARE
    role text;
BEGIN
    FOR role IN SELECT rolname FROM pg_roles WHERE rolname IN ('ocpp_writer', 'ocpp_reader') LOOP
        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', current_schema(), role);
        EXECUTE format('REVOKE ALL ON schema_migrations FROM %I', role);
    END LOOP;
END $$;
