DO $$
DECLARE
    name text;
BEGIN
    -- Schema ocpp may have gone down before: then its views and functions are as they were already.
    IF to_regprocedure('ocpp.mask_views(text, text[], boolean)') IS NOT NULL THEN
        PERFORM ocpp.mask_views('maeve', ARRAY['meter_values', 'connector_status', 'transactions',
            'store_transactions', 'store_transaction_values', 'locations'], false);
        FOR name IN SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
            WHERE p.pronamespace = 'maeve'::regnamespace AND p.prosqlbody IS NOT NULL
              AND p.proname <> 'profile_purpose' LOOP
            PERFORM ocpp.bind_function(name::regprocedure, false);
        END LOOP;
    END IF;
    ALTER FUNCTION number_of RESET search_path;
    ALTER FUNCTION time_of RESET search_path;
    ALTER FUNCTION whole_of RESET search_path;
    -- Readers would see secrets through them.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        REVOKE SELECT ON meter_values, transaction_meter_values, connector_status, locations
            FROM ocpp_reader;
    END IF;
END $$;
