-- A secret may come in by any message: in customData, in fields that no version of OCPP has, in words of
-- a station. So readers get no column that can hold a document or free words; each such table has a
-- view that shows them masked (meter_values_masked, ...), and all views of ours take them from there.
-- What is secret is found by more: the name of a secret in a list, as the instance of a component or a
-- variable, or written with \u in a text; and a list of a name and a value.
--
-- Functions that views call find their names when they are made, not by the reader's search_path.
-- (@ is our schema, {schema} the same within quotes.)

DO $migration$
DECLARE
    definition text;
BEGIN
    FOREACH definition IN ARRAY ARRAY[$sql$

CREATE FUNCTION @.is_secret_name(shown text, words text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT shown ~ '^([A-Za-z0-9_.@]|\[|\]|/)*$' AND substring(shown FROM '[^/]*$') COLLATE "C" ~* words
$$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.mask_text(shown text, words text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SECURITY DEFINER AS $$
DECLARE
    plain text;
BEGIN
    IF words IS NULL OR shown IS NULL THEN
        RETURN shown;
    END IF;
    IF position('@' IN shown) > 0 THEN
        shown := regexp_replace(shown, '(://)[^/?#[:space:]"]*@', '\1***@', 'g');
    END IF;
    plain := shown;
    -- JSON within a text may write any letter as \uXXXX.
    IF position('\u00' IN shown) > 0 THEN
        FOR code IN 32..126 LOOP
            plain := regexp_replace(plain, '\\+u00' || to_hex(code), replace(chr(code), '\', '\\'), 'gi');
        END LOOP;
        IF plain COLLATE "C" ~* words THEN
            RETURN '***';
        END IF;
    END IF;
    IF shown COLLATE "C" !~* words THEN
        RETURN shown;
    END IF;
    RETURN CASE WHEN @.is_secret_name(shown, words) THEN shown ELSE '***' END;
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
    -- Members that say what the others are about.
    says_what CONSTANT text[] := ARRAY['key', 'name', 'variable', 'variablename', 'component',
        'configurationkey', 'configkey', 'parameter', 'setting', 'attribute', 'messageid',
        'instance'];
    -- Of these it may as well be what they hold.
    lists CONSTANT text[] := ARRAY['configurationkey', 'parameter', 'setting', 'attribute'];
    masked jsonb;
BEGIN
    CASE jsonb_typeof(v)
    WHEN 'object' THEN
        IF scope = 0 AND EXISTS (
            SELECT FROM jsonb_each(v) f
            WHERE f.key COLLATE "C" !~* words
              AND CASE WHEN lower(f.key) = ANY (says_what)
                  -- Whatever it is: a list of names, or an object with a name or an instance.
                  THEN CASE jsonb_typeof(f.value) WHEN 'string' THEN true WHEN 'object' THEN
                          lower(f.key) <> ALL (lists) WHEN 'array' THEN lower(f.key) <> ALL (lists)
                          OR NOT EXISTS (SELECT FROM jsonb_array_elements(f.value) e
                              WHERE jsonb_typeof(e) IN ('object', 'array')) ELSE false END
                      AND f.value::text COLLATE "C" ~* words
                  -- Any other member that is no more than the name of a secret.
                  ELSE jsonb_typeof(f.value) = 'string'
                      AND @.is_secret_name(f.value #>> '{}', words) END) THEN
            scope := 1;
        END IF;
        SELECT coalesce(jsonb_object_agg(f.key, @.mask_value(f.value, lower(f.key), CASE
                WHEN f.key COLLATE "C" ~* words OR (lower(f.key) = 'key' AND field = 'vpn') THEN 2
                WHEN scope = 2 AND lower(f.key) = ANY (safe_of_secret) THEN 0
                WHEN scope = 1 AND lower(f.key) = ANY (safe_beside)
                    AND (jsonb_typeof(f.value) IN ('string', 'number', 'boolean', 'null')
                        OR lower(f.key) = ANY (says_what || ARRAY['evse', 'configurationkey'])) THEN 0
                ELSE scope END, words)), '{}')
        INTO masked FROM jsonb_each(v) f;
    WHEN 'array' THEN
        -- ["AuthorizationKey", "1234"]; but a list of names is one.
        IF scope = 0 AND field NOT IN ('key', 'unknownkey') AND EXISTS (
            SELECT FROM jsonb_array_elements(v) e
            WHERE jsonb_typeof(e) = 'string' AND @.is_secret_name(e #>> '{}', words)) THEN
            scope := 3;
        END IF;
        SELECT coalesce(jsonb_agg(CASE
                WHEN scope < 3 THEN @.mask_value(e.value, field, scope, words)
                WHEN jsonb_typeof(e.value) IN ('object', 'array')
                    THEN @.mask_value(e.value, field, 0, words)
                WHEN jsonb_typeof(e.value) = 'string' AND @.is_secret_name(e.value #>> '{}', words)
                    THEN e.value
                ELSE @.mask_value(e.value, field, 2, words) END ORDER BY e.n), '[]')
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
        OR v::text COLLATE "C" !~* ('"vpn"|://[^/?#"[:space:]]*@|\\u00|' || words) THEN
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
        WHEN 'meter_values' THEN ARRAY['raw', 'payload_raw']
        WHEN 'transaction_events' THEN ARRAY['extra', 'readings', 'payload_raw', 'trigger_reason',
            'charging_state', 'stopped_reason']
        WHEN 'transactions' THEN ARRAY['merge_state', 'start_trigger', 'stop_trigger',
            'charging_state', 'stopped_reason']
        WHEN 'authorizations' THEN ARRAY['extra', 'payload_raw']
        WHEN 'connector_status' THEN ARRAY['info', 'vendor_id', 'vendor_error_code']
        WHEN 'store_transactions' THEN ARRAY['stopped_reason']
        WHEN 'store_transaction_values' THEN ARRAY['sampled_value']
        WHEN 'locations' THEN ARRAY['location']
        ELSE '{}' END
$$

$sql$, $sql$

-- What ocpp_reader may read of a table: no column that is named, and none that can hold a document
-- but those of which we know what is in them. So who adds a column of that kind need not think of it.
CREATE FUNCTION @.readable_columns(name text, parent text) RETURNS text[]
LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}')
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = '{schema}'::regnamespace AND c.relname = readable_columns.name
      AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attname <> ALL (@.secret_columns(parent))
      AND (a.atttypid NOT IN ('jsonb'::regtype, 'json'::regtype, 'bytea'::regtype, 'xml'::regtype)
          OR (parent, a.attname) IN (('ingest_progress', 'reasons'), ('ingest_progress', 'content'),
              ('ingest_progress', 'begins'), ('ingest_progress', 'asked'),
              ('store_transaction_values', 'digest')))
$$

$sql$, $sql$

CREATE FUNCTION @.grant_columns(name text, readable text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    columns text;
BEGIN
    EXECUTE format('REVOKE SELECT ON %s.%I FROM ocpp_reader', '{schema}', name);
    IF cardinality(readable) = (SELECT count(*) FROM pg_attribute a
            JOIN pg_class c ON c.oid = a.attrelid
            WHERE c.relnamespace = '{schema}'::regnamespace AND c.relname = grant_columns.name
              AND a.attnum > 0 AND NOT a.attisdropped) THEN
        EXECUTE format('GRANT SELECT ON %s.%I TO ocpp_reader', '{schema}', name);
    ELSE
        SELECT string_agg(quote_ident(r), ', ') INTO columns FROM unnest(readable) r;
        EXECUTE format('GRANT SELECT (%s) ON %s.%I TO ocpp_reader', columns, '{schema}', name);
    END IF;
END $$

$sql$, $sql$

CREATE OR REPLACE FUNCTION @.grant_partition(name text, parent text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    readable text[] := @.readable_columns(name, parent);
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s.%I TO ocpp_writer', '{schema}', name);
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        PERFORM @.grant_columns(name, readable);
    END IF;
END $$

$sql$, $sql$

-- By the search_path of the migration: it may be a view of another schema that has this name.
CREATE OR REPLACE FUNCTION @.grant_table(name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = to_regclass(quote_ident(name))
            AND c.relnamespace = '{schema}'::regnamespace AND c.relkind IN ('r', 'p')) THEN
        PERFORM @.grant_partition(name, name);
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO ocpp_writer', name);
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        EXECUTE format('GRANT SELECT ON %I TO ocpp_reader', name);
    END IF;
END $$

$sql$, $sql$

-- Of tables that readers may read something of, those of which they may not read all.
CREATE OR REPLACE FUNCTION @.grant_readers() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        RETURN;
    END IF;
    PERFORM @.grant_columns(t.name, @.readable_columns(t.name, t.parent))
    FROM (
        SELECT c.relname::text AS name, coalesce((SELECT p.table_name FROM @.partitioned_tables p
            WHERE c.relname ~ ('^' || p.table_name || '_(undated|[0-9_]+)(_loading)?$')), c.relname) AS parent
        FROM pg_class c
        WHERE c.relnamespace = '{schema}'::regnamespace AND c.relkind IN ('r', 'p')
          AND (has_table_privilege('ocpp_reader', c.oid, 'SELECT')
              OR has_any_column_privilege('ocpp_reader', c.oid, 'SELECT'))
    ) t;
END $$

$sql$, $sql$

-- Views of ours show what they take from such a table by its masked view, so that readers may ask
-- them as before. to_masks: false = back to the tables.
CREATE FUNCTION @.mask_views(of_schema text, of_tables text[], to_masks boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v record;
    t text;
    definition text;
    prefix text;
BEGIN
    FOR v IN SELECT c.oid, c.relname::text AS name FROM pg_class c
        WHERE c.relnamespace = to_regnamespace(of_schema) AND c.relkind = 'v'
          AND c.relname !~ '_masked$' LOOP
        definition := pg_get_viewdef(v.oid);
        FOREACH t IN ARRAY of_tables LOOP
            -- Other views of events mask by themselves.
            CONTINUE WHEN t = 'ocpp_events'
                AND v.name NOT IN ('boots', 'operations', 'availability', 'reservations');
            -- It stands behind FROM or JOIN, with its schema, before an alias or the end of a line.
            prefix := '((?:FROM|JOIN)[ (]+' || regexp_replace('{schema}', '([^a-z0-9_])', '\\\1', 'g') || '\.';
            IF to_masks THEN
                definition := regexp_replace(definition, prefix || t || ')(?= [a-z])', '\1_masked', 'g');
                definition := regexp_replace(definition, prefix || t || ')(?=[;)\n])', '\1_masked ' || t, 'g');
            ELSE
                definition := regexp_replace(definition, prefix || t || ')_masked(?: ' || t || '\M)?\M', '\1', 'g');
            END IF;
        END LOOP;
        IF definition <> pg_get_viewdef(v.oid) THEN
            EXECUTE format('CREATE OR REPLACE VIEW %s.%I AS %s', of_schema, v.name, definition);
        END IF;
    END LOOP;
END $$

$sql$, $sql$

-- A function that a view calls runs as whoever reads the view, with their search_path. Bound when it
-- is made, its names are found once, and it can still be inlined. bind: false = back to a text.
CREATE FUNCTION @.bind_function(function regprocedure, bind boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    definition text := pg_get_functiondef(function);
    head text;
    body text;
BEGIN
    -- Names of ours are found as they were when it was made.
    PERFORM set_config('search_path', 'pg_catalog, ' || (SELECT p.pronamespace::regnamespace::text
        FROM pg_proc p WHERE p.oid = function), true);
    IF bind THEN
        SELECT p.prosrc INTO body FROM pg_proc p WHERE p.oid = function;
        head := left(definition, position(E'\nAS $' IN definition));
        EXECUTE head || 'BEGIN ATOMIC ' || rtrim(body, E' \n\t;') || E';\nEND';
    ELSE
        body := pg_get_function_sqlbody(function);
        head := left(definition, position(E'\nBEGIN ATOMIC' IN definition));
        body := regexp_replace(regexp_replace(body, '^BEGIN ATOMIC', ''), ';\s*END$', '');
        EXECUTE head || format('AS %L', body);
    END IF;
END $$

$sql$] LOOP
        EXECUTE replace(replace(definition, '@.', quote_ident(current_schema()) || '.'), '{schema}',
            replace(quote_ident(current_schema()), '''', ''''''));
    END LOOP;
END $migration$;

COMMENT ON FUNCTION is_secret_name IS 'True of a text that is the name of a secret and no more';
COMMENT ON FUNCTION readable_columns IS 'The columns of a table, or of a partition of parent, that ocpp_reader may read';
COMMENT ON FUNCTION grant_columns IS 'Gives ocpp_reader these columns of a table and no others';
COMMENT ON FUNCTION grant_readers IS 'Gives ocpp_reader the columns that it may read of tables of which it may not read all, and of their partitions. For migrations that add a column to one.';
COMMENT ON FUNCTION mask_views IS 'For migrations: views of a schema read the masked views of these tables, or the tables again';
COMMENT ON FUNCTION bind_function IS 'For migrations: an SQL function gets a body whose names are found now, or a text again';

DO $$
DECLARE
    name text;
    t text;
    columns text;
BEGIN
    FOREACH name IN ARRAY ARRAY['is_secret_name', 'mask_text', 'mask_value', 'mask_secrets', 'secret_columns',
        'readable_columns', 'grant_columns', 'grant_partition', 'grant_readers',
        'mask_views', 'bind_function'] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = pg_catalog, pg_temp', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['make_partitioned', 'prune_tombstones', 'store_forget'] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
    FOREACH name IN ARRAY ARRAY['json_items(jsonb)', 'json_int(jsonb)', 'unit_name(text)', 'unit_factor(text)',
        'normalised(numeric,numeric,integer)', 'flag_names(integer)', 'flag_meanings(integer)',
        'says_no_more(jsonb)', 'variable_key(jsonb)', 'loading_lock_class()', 'store_tables()',
        'energy_register(jsonb)'] LOOP
        PERFORM bind_function(name::regprocedure, true);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['meter_values', 'transaction_events', 'transactions',
        'authorizations', 'connector_status', 'store_transactions', 'store_transaction_values',
        'locations'] LOOP
        -- Bytes are left out. Nobody pays for it who may read the column.
        SELECT string_agg(CASE WHEN a.attname <> ALL (secret_columns(t)) THEN format('x.%I', a.attname)
                ELSE format('CASE WHEN x.%1$I IS NULL OR (SELECT words_to_mask(%2$L, %1$L)) IS NULL '
                    'THEN x.%1$I ELSE %3$s(x.%1$I, (SELECT words_to_mask(%2$L, %1$L))) END AS %1$I',
                    a.attname, t, CASE a.atttypid WHEN 'jsonb'::regtype THEN 'mask_secrets'
                    ELSE 'mask_text' END) END, ', ' ORDER BY a.attnum) INTO columns
        FROM pg_attribute a
        WHERE a.attrelid = t::regclass AND a.attnum > 0 AND NOT a.attisdropped
          AND NOT (a.attname = ANY (secret_columns(t)) AND a.atttypid = 'bytea'::regtype)
          AND a.attname <> 'readings';
        EXECUTE format('CREATE VIEW %I AS SELECT %s FROM %I x', t || '_masked', columns, t);
        PERFORM grant_table(t || '_masked');
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
            EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %I FROM ocpp_writer', t || '_masked');
        END IF;
    END LOOP;
    PERFORM mask_views(quote_ident(current_schema()), ARRAY['meter_values', 'transaction_events', 'transactions',
        'authorizations', 'connector_status', 'store_transactions', 'store_transaction_values',
        'locations'] || 'ocpp_events'::text, true);
    -- Views of group maeve read those tables, too, until its next version masks them.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') AND current_schema() = 'ocpp'
        AND to_regclass('maeve.transaction_meter_values') IS NOT NULL THEN
        REVOKE SELECT ON maeve.meter_values, maeve.transaction_meter_values, maeve.connector_status,
            maeve.locations FROM ocpp_reader;
        RAISE WARNING 'readers may not read meter values, connectors and locations of schema maeve until `migrate maeve up` has masked them';
    END IF;
END $$;

COMMENT ON VIEW meter_values_masked IS 'meter_values without payload_raw; whoever may not read its raw sees secrets masked';
COMMENT ON VIEW transaction_events_masked IS 'transaction_events without payload_raw and readings; whoever may not read its extra, or its words, sees secrets masked';
COMMENT ON VIEW transactions_masked IS 'transactions without merge_state; whoever may not read its words sees secrets masked';
COMMENT ON VIEW authorizations_masked IS 'authorizations without payload_raw; whoever may not read its extra sees secrets masked';
COMMENT ON VIEW connector_status_masked IS 'connector_status; whoever may not read its words sees secrets masked';
COMMENT ON VIEW store_transactions_masked IS 'store_transactions; whoever may not read its words sees secrets masked';
COMMENT ON VIEW store_transaction_values_masked IS 'store_transaction_values; whoever may not read its sampled_value sees secrets masked';
COMMENT ON VIEW locations_masked IS 'locations; whoever may not read its location sees secrets masked';

SELECT grant_readers();
