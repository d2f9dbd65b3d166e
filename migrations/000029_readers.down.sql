DO $$
DECLARE
    name text;
BEGIN
    PERFORM mask_views(quote_ident(current_schema()), ARRAY['meter_values', 'transaction_events', 'transactions',
        'authorizations', 'connector_status', 'store_transactions', 'store_transaction_values',
        'locations'] || 'ocpp_events'::text, false);
    IF to_regclass('maeve.transaction_meter_values') IS NOT NULL AND current_schema() = 'ocpp' THEN
        PERFORM mask_views('maeve', ARRAY['meter_values', 'transaction_events', 'transactions',
        'authorizations', 'connector_status', 'store_transactions', 'store_transaction_values',
        'locations'], false);
    END IF;
    FOREACH name IN ARRAY ARRAY['meter_values', 'transaction_events', 'transactions',
        'authorizations', 'connector_status', 'store_transactions', 'store_transaction_values',
        'locations'] LOOP
        EXECUTE format('DROP VIEW %I', name || '_masked');
    END LOOP;
    FOREACH name IN ARRAY ARRAY['json_items(jsonb)', 'json_int(jsonb)', 'unit_name(text)', 'unit_factor(text)',
        'normalised(numeric,numeric,integer)', 'flag_names(integer)', 'flag_meanings(integer)',
        'says_no_more(jsonb)', 'variable_key(jsonb)', 'loading_lock_class()', 'store_tables()',
        'energy_register(jsonb)'] LOOP
        PERFORM bind_function(name::regprocedure, false);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['make_partitioned', 'prune_tombstones', 'store_forget'] LOOP
        EXECUTE format('ALTER FUNCTION %I RESET search_path', name);
    END LOOP;
END $$;

DO $migration$
DECLARE
    definition text;
BEGIN
    FOREACH definition IN ARRAY ARRAY[$sql$

CREATE OR REPLACE FUNCTION @.mask_text(shown text, words text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SECURITY DEFINER AS $$
BEGIN
    IF words IS NULL OR shown IS NULL THEN
        RETURN shown;
    END IF;
    IF position('@' IN shown) > 0 THEN
        shown := regexp_replace(shown, '(://)[^/?#[:space:]"]*@', '\1***@', 'g');
    END IF;
    IF shown COLLATE "C" !~* words THEN
        RETURN shown;
    END IF;
    RETURN CASE WHEN shown ~ '^([A-Za-z0-9_.@]|\[|\]|/)*$'
        AND substring(shown FROM '[^/]*$') COLLATE "C" ~* words THEN shown ELSE '***' END;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.mask_value(v jsonb, field text, scope integer, words text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    -- What an object says beside the value of a key or variable.
    safe_of_secret CONSTANT text[] := ARRAY['status', 'sendafter', 'lastupdated', 'readonly', 'type',
        'mutability'];
    safe_beside CONSTANT text[] := safe_of_secret || ARRAY['key', 'name', 'component', 'variable',
        'variablename', 'instance', 'evse', 'id', 'connectorid', 'attributetype', 'attributestatus',
        'reasoncode', 'persistent', 'constant', 'datatype', 'unit', 'maxlimit', 'minlimit',
        'supportsmonitoring', 'requestid', 'seqno', 'tbc', 'generatedat', 'eventid', 'timestamp',
        'trigger', 'cleared', 'eventnotificationtype', 'variablemonitoringid', 'severity'];
    masked jsonb;
BEGIN
    CASE jsonb_typeof(v)
    WHEN 'object' THEN
        IF scope = 0 AND EXISTS (
            SELECT FROM jsonb_each(v) f
            WHERE lower(f.key) IN ('key', 'name', 'variable', 'variablename', 'component',
                    'configurationkey', 'configkey', 'parameter', 'setting', 'attribute', 'messageid')
              AND (CASE jsonb_typeof(f.value) WHEN 'string' THEN f.value #>> '{}'
                  WHEN 'object' THEN f.value ->> 'name' END) COLLATE "C" ~* words) THEN
            scope := 1;
        END IF;
        SELECT coalesce(jsonb_object_agg(f.key, @.mask_value(f.value, lower(f.key), CASE
                WHEN f.key COLLATE "C" ~* words OR (lower(f.key) = 'key' AND field = 'vpn') THEN 2
                WHEN scope = 2 AND lower(f.key) = ANY (safe_of_secret) THEN 0
                WHEN scope = 1 AND lower(f.key) = ANY (safe_beside) THEN 0
                ELSE scope END, words)), '{}')
        INTO masked FROM jsonb_each(v) f;
    WHEN 'array' THEN
        SELECT coalesce(jsonb_agg(@.mask_value(e.value, field, scope, words) ORDER BY e.n), '[]')
        INTO masked FROM jsonb_array_elements(v) WITH ORDINALITY AS e (value, n);
    WHEN 'string' THEN
        masked := CASE scope WHEN 0 THEN to_jsonb(@.mask_text(v #>> '{}', words)) ELSE '"***"' END;
    WHEN 'number' THEN
        masked := CASE scope WHEN 0 THEN v ELSE '"***"' END;
    ELSE
        masked := v;
    END CASE;
    RETURN masked;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.mask_secrets(v jsonb, words text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SECURITY DEFINER AS $$
BEGIN
    IF words IS NULL OR v IS NULL
        OR v::text COLLATE "C" !~* ('"vpn"|://[^/?#"[:space:]]*@|' || words) THEN
        RETURN v;
    END IF;
    RETURN @.mask_value(v, '', 0, words);
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.secret_columns(name text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE name
        WHEN 'ocpp_events' THEN ARRAY['payload', 'request', 'error_description', 'payload_raw']
        WHEN 'charge_station_settings' THEN ARRAY['settings']
        WHEN 'dead_letters' THEN ARRAY['payload', 'payload_sha256', 'detail']
        ELSE '{}' END
$$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.grant_partition(name text, parent text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    readable text;
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s.%I TO ocpp_writer', '{schema}', name);
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO readable
        FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = '{schema}'::regnamespace AND c.relname = grant_partition.name
          AND a.attnum > 0 AND NOT a.attisdropped
          AND a.attname <> ALL (@.secret_columns(parent));
        EXECUTE format('REVOKE SELECT ON %s.%I FROM ocpp_reader', '{schema}', name);
        EXECUTE CASE WHEN @.secret_columns(parent) = '{}'
            THEN format('GRANT SELECT ON %s.%I TO ocpp_reader', '{schema}', name)
            ELSE format('GRANT SELECT (%s) ON %s.%I TO ocpp_reader', readable, '{schema}', name) END;
    END IF;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.grant_readers() RETURNS void
LANGUAGE sql AS $$
    SELECT @.grant_partition(c.relname, s.name)
    FROM unnest(ARRAY['ocpp_events', 'charge_station_settings', 'dead_letters']) AS s (name)
    JOIN pg_class c ON c.relnamespace = '{schema}'::regnamespace AND c.relkind IN ('r', 'p')
        AND (c.relname = s.name OR (s.name = 'ocpp_events' AND c.relname ~ '^ocpp_events_'))
$$

$sql$] LOOP
        EXECUTE replace(replace(definition, '@.', quote_ident(current_schema()) || '.'), '{schema}',
            replace(quote_ident(current_schema()), '''', ''''''));
    END LOOP;
END $migration$;

CREATE OR REPLACE FUNCTION grant_table(name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO ocpp_writer', name);
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        EXECUTE format('GRANT SELECT ON %I TO ocpp_reader', name);
    END IF;
END $$;
DROP FUNCTION bind_function, mask_views, grant_columns, readable_columns, is_secret_name;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['mask_text', 'mask_value', 'mask_secrets', 'secret_columns',
        'grant_partition', 'grant_readers'] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = pg_catalog, pg_temp', name);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        FOR name IN SELECT c.relname FROM pg_class c
            WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
              AND c.relkind IN ('r', 'p')
              AND c.relname ~ '^(meter_values|transaction_events|transactions|authorizations|connector_status|store_transactions|store_transaction_values|locations)(_undated|_[0-9_]+)?(_loading)?$' LOOP
            EXECUTE format('GRANT SELECT ON %I TO ocpp_reader', name);
        END LOOP;
    END IF;
END $$;
