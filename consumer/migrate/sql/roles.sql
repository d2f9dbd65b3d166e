-- What ocpp_writer and ocpp_reader lack of the rights that migrations grant, and what ocpp_reader
-- has beyond them, as statements. $1: the schema; schema maeve belongs to it if it is called ocpp.
-- Names are listed, not discovered: a table or view that somebody else created in our schema is not
-- ours to open. test_roles.py compares the list with the migrations.
WITH RECURSIVE ours AS (
    SELECT n.oid, n.nspname AS name, n.nspowner AS owner
    FROM pg_namespace n
    WHERE n.nspname = $1
       OR $1 = 'ocpp' AND n.nspname = 'maeve' AND n.nspowner IN (SELECT trusted_owners())
), roles (role) AS (
    VALUES ('ocpp_writer'), ('ocpp_reader')
), named (name, writer) AS (
    SELECT name, 'SELECT,INSERT,UPDATE,DELETE' FROM unnest(ARRAY['meter_values',
        'meter_value_layouts', 'transaction_events', 'authorizations', 'ocpp_events',
        'transactions', 'transaction_keys', 'transaction_starts', 'transaction_costs',
        'transaction_flags', 'exchange_halves', 'charge_station_status', 'connector_status',
        'operation_status', 'ingest_progress', 'dead_letters', 'dead_letters_beyond', 'tokens',
        'charge_stations', 'charge_station_settings', 'charge_station_runtime',
        'charge_station_certificates', 'charge_station_triggers', 'certificates',
        'ocpi_registrations', 'ocpi_parties', 'locations', 'store_transactions',
        'store_transaction_values', 'forgotten_tokens', 'station_activity',
        'station_changes', 'station_backfill', 'energy_hours', 'energy_pending']) name
    -- Functions with their owner's rights trust these.
    UNION ALL SELECT name, 'SELECT' FROM unnest(ARRAY['partitioned_tables', 'loading_partitions',
        'schema_migrations', 'forgotten_salt']) name
    UNION ALL VALUES ('secret_keys', 'SELECT,INSERT')
), tables AS (
    SELECT c.oid, c.oid AS root, t.name AS parent, t.writer
    FROM named t
    JOIN pg_class c ON c.relname = t.name AND c.relkind IN ('r', 'p')
    WHERE c.relnamespace = (SELECT oid FROM ours WHERE name = $1)
), inherited (oid, root) AS (
    -- Rather than pg_partition_tree(), which waits for whoever has locked a partition.
    SELECT t.oid, t.root FROM tables t
    UNION
    SELECT c.oid, t.root
    FROM inherited t
    JOIN pg_inherits i ON i.inhparent = t.oid
    JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition -- not what others let inherit
), with_partitions AS (
    SELECT * FROM tables
    UNION
    SELECT i.oid, t.root, t.parent, t.writer
    FROM tables t JOIN inherited i USING (root)
    UNION
    SELECT c.oid, t.root, t.parent, t.writer
    FROM loading_partitions l
    JOIN pg_class c ON c.relname = l.table_name
        AND c.relnamespace = (SELECT oid FROM ours WHERE name = $1)
    JOIN tables t ON t.parent = l.parent
), readable AS (
    SELECT t.*, c.relname, c.relowner, r.columns,
        cardinality(r.columns) = (SELECT count(*) FROM pg_attribute a
            WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped) AS is_whole,
        t.parent IN ('charge_stations', 'ocpi_registrations', 'ocpi_parties', 'schema_migrations',
            'forgotten_tokens', 'forgotten_salt')
            AS is_withheld -- from readers: credentials
    FROM with_partitions t
    JOIN pg_class c ON c.oid = t.oid
    CROSS JOIN LATERAL (SELECT readable_columns(c.relname, t.parent)) r (columns)
), views AS (
    -- Of maeve's, those that stand for tables, and what others have a trigger for.
    SELECT c.oid, c.relowner, 'SELECT'
            || CASE WHEN bit_or(g.tgtype) & 8 > 0 THEN ',INSERT,UPDATE,DELETE'
                WHEN bit_or(g.tgtype) & 16 > 0 THEN ',INSERT,UPDATE'
                WHEN bit_or(g.tgtype) & 4 > 0 THEN ',INSERT' ELSE '' END AS writer,
        c.relname IN ('charge_stations', 'ocpi_registrations', 'ocpi_parties') AS is_withheld
    FROM ours o
    JOIN pg_class c ON c.relnamespace = o.oid AND c.relkind = 'v'
    LEFT JOIN pg_trigger g ON g.tgrelid = c.oid AND NOT g.tgisinternal
    WHERE (o.name = $1 AND c.relname = ANY (ARRAY['all_runtime', 'all_transactions',
            'authorizations_masked', 'availability', 'boots', 'charge_station_settings_masked',
            'charging_profiles', 'connector_status_masked', 'csms_calls', 'dead_letters_masked',
            'device_events', 'device_reports', 'energy_hourly', 'event_streams', 'latest_readings',
            'local_list_entries', 'local_lists', 'locations_masked', 'meter_gaps',
            'meter_samples', 'meter_values_json', 'meter_values_masked', 'monitoring_reports',
            'ocpp_events_masked', 'operations', 'refused_results', 'reservations',
            'security_events', 'sessions', 'signed_readings', 'signed_sessions', 'stations', 'store_transaction_values_masked',
            'store_transactions_masked', 'suspicious_sessions', 'transaction_events_masked',
            'transactions_masked', 'unmatched_events'])
        OR o.name <> $1 AND c.relname = ANY (ARRAY['answered_calls', 'certificates',
            'charge_station_certificates', 'charge_station_event', 'charge_station_runtime',
            'charge_station_settings', 'charge_station_status', 'charge_station_triggers',
            'charge_stations', 'charging_profiles', 'connector_status', 'device_report',
            'diagnostics_status', 'display_messages', 'firmware_update_status',
            'local_auth_list_entries', 'local_auth_list_versions', 'locations', 'log_status',
            'meter_values', 'ocpi_parties', 'ocpi_registrations', 'publish_firmware_status',
            'reservations', 'tokens', 'transaction_meter_values', 'transaction_sources',
            'transactions', 'variable_monitoring']))
      AND c.relowner IN (SELECT trusted_owners())
    GROUP BY c.oid
), wanted AS (
    SELECT 2 AS rank, t.oid, t.root, t.relowner AS owner, 'ocpp_writer' AS role, p.privilege,
        NULL::text AS columns
    FROM readable t, string_to_table(t.writer, ',') p (privilege)
    WHERE NOT has_table_privilege('ocpp_writer', t.oid, p.privilege)
    UNION ALL
    SELECT 3, t.oid, t.root, t.relowner, 'ocpp_reader', 'SELECT',
        CASE WHEN NOT t.is_whole THEN (SELECT ' (' || string_agg(quote_ident(c), ', ') || ')'
            FROM unnest(t.columns) c) ELSE '' END
    FROM readable t
    WHERE NOT t.is_withheld AND EXISTS (SELECT FROM unnest(t.columns) c
        WHERE NOT has_column_privilege('ocpp_reader', t.oid, c, 'SELECT'))
    UNION ALL
    SELECT 4, v.oid, v.oid, v.relowner, r.role, p.privilege, NULL
    FROM views v, roles r,
        string_to_table(CASE r.role WHEN 'ocpp_writer' THEN v.writer ELSE 'SELECT' END, ',')
            p (privilege)
    WHERE (r.role = 'ocpp_writer' OR NOT v.is_withheld)
      AND NOT has_table_privilege(r.role, v.oid, p.privilege)
), per_table AS (
    SELECT w.rank, w.oid, w.root, w.owner, w.role,
        string_agg(w.privilege || coalesce(w.columns, ''), ', '
            ORDER BY position(w.privilege IN 'SELECT INSERT UPDATE DELETE')) AS privileges
    FROM wanted w
    GROUP BY w.rank, w.oid, w.root, w.owner, w.role
), statements AS (
    SELECT 1 AS rank, o.name::text AS sort, o.owner, NULL AS excess,
        format('GRANT USAGE ON SCHEMA %I TO %I', o.name, r.role) AS sql
    FROM ours o, roles r
    WHERE NOT has_schema_privilege(r.role, o.oid, 'USAGE')
    UNION ALL
    -- A table and its partitions in one statement.
    SELECT t.rank, format('%s.%s', n.nspname, c.relname), t.owner, NULL,
        format('GRANT %s ON %s TO %I', t.privileges, string_agg(format('%I.%I', m.nspname,
            p.relname), ', ' ORDER BY p.oid <> t.root, p.relname), t.role)
    FROM per_table t
    JOIN pg_class c ON c.oid = t.root
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class p ON p.oid = t.oid
    JOIN pg_namespace m ON m.oid = p.relnamespace
    GROUP BY t.rank, n.nspname, c.relname, t.owner, t.privileges, t.role
    UNION ALL
    SELECT 5, f.proname, f.proowner, NULL,
        format('GRANT EXECUTE ON FUNCTION %s TO ocpp_writer', f.oid::regprocedure)
    FROM ours o
    JOIN pg_proc f ON f.pronamespace = o.oid
    -- The second list is everybody's, unless the database takes that from PUBLIC.
    WHERE o.name = $1 AND f.proname = ANY (ARRAY['ensure_partition', 'forbid_loading',
            'load_partition', 'end_loading', 'finish_loading', 'retire_partition', 'drop_retired',
        'partition_of', 'partition_exists', 'partitions_at', 'has_partition', 'check_attached',
            'merged_setting', 'setting_after', 'variable_key', 'json_items', 'json_int',
            'prune_transaction_keys', 'has_transactions', 'partition_list', 'partition_states',
            'partition_bytes', 'prune_tombstones', 'store_tables', 'fold_station_changes',
            'refresh_energy', 'recompute_energy', 'compute_energy', 'is_energy'])
      AND NOT has_function_privilege('ocpp_writer', f.oid, 'EXECUTE')
    UNION ALL
    SELECT 6, t.parent, t.relowner,
        format('ocpp_reader may read columns of %s that can hold secrets: %s', t.oid::regclass,
            string_agg(a.attname, ', ' ORDER BY a.attnum)),
        format('REVOKE SELECT ON %s FROM ocpp_reader', t.oid::regclass)
    FROM readable t
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE (t.is_withheld OR a.attname <> ALL (t.columns))
      AND has_column_privilege('ocpp_reader', t.oid, a.attnum, 'SELECT')
    GROUP BY t.oid, t.parent, t.relowner
)
-- Several of them are pasted into psql.
SELECT sql || ';' AS sql, pg_has_role(owner, 'USAGE') AS may, pg_get_userbyid(owner) AS owner, excess
FROM statements
ORDER BY rank, sort, sql
