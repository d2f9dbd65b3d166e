-- What is secret in them is masked for whoever may not read it (ocpp.secret_columns()): these views show
-- columns of tables that readers may not read. The functions that views call find their names when they
-- are made, not by the reader's search_path.
DO $$
DECLARE
    name text;
BEGIN
    PERFORM ocpp.mask_views('maeve', ARRAY['meter_values', 'connector_status', 'transactions',
        'store_transactions', 'store_transaction_values', 'locations'], true);
    FOR name IN SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
        WHERE p.pronamespace = 'maeve'::regnamespace AND p.proconfig IS NULL AND p.prokind = 'f' LOOP
        IF (SELECT l.lanname = 'plpgsql' FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
            WHERE p.oid = name::regprocedure) THEN
            EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, pg_temp',
                name::regprocedure);
        ELSIF (SELECT p.prosqlbody IS NULL FROM pg_proc p WHERE p.oid = name::regprocedure) THEN
            PERFORM ocpp.bind_function(name::regprocedure, true);
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        GRANT SELECT ON meter_values, transaction_meter_values, connector_status, locations
            TO ocpp_reader;
    END IF;
END $$;
