-- Where tokens can be, a row for each column of each table that has rows: those of partitions, attached
-- or not. kind: how the column has them (forget_words.c). test_forget.py compares the list with the catalog.
WITH places (table_name, column_name, kind) AS (VALUES
    ('authorizations', 'id_token', 'name'),
    ('authorizations', 'group_id_token', 'name'),
    ('authorizations', 'extra', 'json'),
    ('authorizations', 'payload_raw', 'bytes'),
    ('charge_station_settings', 'settings', 'json'),
    ('connector_status', 'info', 'words'),
    ('connector_status', 'vendor_error_code', 'words'),
    ('dead_letters', 'detail', 'words'),
    ('dead_letters', 'payload', 'bytes'),
    ('exchange_halves', 'group_id_token', 'name'),
    ('locations', 'location', 'json'),
    ('meter_values', 'raw', 'json'),
    ('meter_values', 'payload_raw', 'bytes'),
    ('ocpp_events', 'payload', 'json'),
    ('ocpp_events', 'request', 'json'),
    ('ocpp_events', 'error_description', 'words'),
    ('ocpp_events', 'payload_raw', 'bytes'),
    ('store_transactions', 'id_token', 'name'),
    ('store_transaction_values', 'sampled_value', 'json'),
    ('tokens', 'uid', 'name'),
    ('tokens', 'contract_id', 'name'),
    ('tokens', 'visual_number', 'name'),
    ('tokens', 'group_id', 'name'),
    ('transaction_events', 'id_token', 'name'),
    ('transaction_events', 'extra', 'json'),
    ('transaction_events', 'payload_raw', 'bytes'),
    ('transaction_starts', 'group_id_token', 'name'),
    ('transactions', 'id_token', 'name'),
    ('transactions', 'group_id_token', 'name'),
    ('transactions', 'stop_id_token', 'name')
), parents AS (
    SELECT c.oid, c.relname, c.relkind
    FROM pg_class c
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'p')
      AND c.relname IN (SELECT table_name FROM places)
), leaves AS (
    SELECT relname AS table_name, oid FROM parents WHERE relkind = 'r'
    UNION
    SELECT p.relname, t.relid FROM parents p, pg_partition_tree(p.oid) t WHERE t.isleaf
    UNION
    SELECT l.parent, c.oid
    FROM partition_list() l
    JOIN pg_class c ON c.relname = l.name
        AND c.relnamespace = quote_ident(current_schema())::regnamespace
    WHERE l.state IN ('detached', 'retired', 'loading')
)
SELECT l.table_name, l.oid::regclass, quote_ident(a.attname), p.kind, c.relkind
FROM leaves l
JOIN pg_class c ON c.oid = l.oid
JOIN places p ON p.table_name = l.table_name
JOIN pg_attribute a ON a.attrelid = l.oid AND a.attname = p.column_name AND NOT a.attisdropped
WHERE c.relkind <> 'p'
ORDER BY l.table_name, l.oid, a.attnum
