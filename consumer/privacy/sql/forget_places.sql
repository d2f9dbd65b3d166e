-- Where tokens can be, a row for each column of each table that has rows: those of partitions, attached
-- or not. kind: how the column has them (forget_words.c). The last column: whether it is in the table's
-- primary key. test_forget.py compares the list with the catalog.
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
    ('meter_values', 'raw', 'readings'),
    ('meter_values', 'payload_raw', 'bytes'),
    ('ocpp_events', 'payload', 'json'),
    ('ocpp_events', 'request', 'json'),
    ('ocpp_events', 'error_description', 'words'),
    ('ocpp_events', 'payload_raw', 'bytes'),
    ('store_transactions', 'id_token', 'name'),
    ('store_transaction_values', 'sampled_value', 'readings'),
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
    SELECT relname AS table_name, oid, false AS moved FROM parents WHERE relkind = 'r'
    UNION
    SELECT p.relname, t.relid, false FROM parents p, pg_partition_tree(p.oid) t WHERE t.isleaf
    UNION
    SELECT l.parent, c.oid, false
    FROM partition_list() l
    JOIN pg_class c ON c.relname = l.name
        AND c.relnamespace = quote_ident(current_schema())::regnamespace
    WHERE l.state IN ('detached', 'retired', 'loading')
    UNION
    -- Moved out of the way after they were detached; of another installation, the parent is beside it.
    SELECT p.relname, c.oid, true
    FROM parents p
    JOIN pg_class c ON starts_with(c.relname, p.relname || '_20')
        AND c.relname ~ '_20\d\d_\d\d(_|$)' AND c.relkind = 'r' AND NOT c.relispartition
        AND c.relnamespace <> quote_ident(current_schema())::regnamespace
    WHERE p.relkind = 'p'
      AND NOT EXISTS (SELECT FROM pg_class o
          WHERE o.relnamespace = c.relnamespace AND o.relname = p.relname)
      AND NOT EXISTS (SELECT FROM places w
          WHERE w.table_name = p.relname AND NOT EXISTS (SELECT FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attname = w.column_name AND NOT a.attisdropped))
)
SELECT l.table_name, l.oid::regclass, quote_ident(a.attname), p.kind,
    CASE WHEN l.moved THEN 'm' ELSE c.relkind::text END,
    EXISTS (SELECT FROM pg_index i
        WHERE i.indrelid = l.oid AND i.indisprimary AND a.attnum = ANY (i.indkey))
FROM leaves l
JOIN pg_class c ON c.oid = l.oid
JOIN places p ON p.table_name = l.table_name
JOIN pg_attribute a ON a.attrelid = l.oid AND a.attname = p.column_name AND NOT a.attisdropped
WHERE c.relkind <> 'p'
ORDER BY l.table_name, l.oid, a.attnum
