-- In a schema whose name has letters other than a to z, views were not made to read the masked views of
-- their tables: the name was taken for a pattern, in which "\M" is something else than an M. Views of
-- later migrations that need no mask get one there, too.
DO $$
BEGIN
    EXECUTE replace(pg_get_functiondef('mask_views'::regproc), '([^a-z0-9_])', '([^[:alnum:]_])');
    IF current_schema() ~ '[^\x01-\x40\x5b-\x7f]' THEN
        PERFORM mask_views(quote_ident(current_schema()), ARRAY['meter_values', 'transaction_events',
            'transactions', 'authorizations', 'connector_status', 'store_transactions',
            'store_transaction_values', 'locations'] || 'ocpp_events'::text, true);
    END IF;
END $$;
