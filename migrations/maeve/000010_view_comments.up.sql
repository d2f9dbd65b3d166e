-- A comment on every column of every view. If our table of the same name has the column, its comment
-- applies; a column that means the same in all views is described once ('').

DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        WITH texts (view_name, column_name, text) AS (VALUES
            ('', 'charge_station_id', 'Charge station'),
            ('', 'created_at', 'When it was first stored, UTC'),
            ('', 'updated_at', 'When it last changed here'),
            ('', 'status', 'status of the newest message, as written; empty if it had no status'),
            ('', 'request_id', 'requestId of the request that it belongs to; 0 = not stated'),
            ('', 'send_after', 'Not to be sent before; 0001-01-01 = at once'),
            ('', 'sampled_values', 'The samples in MaEVE''s form, those that are numbers'),
            ('tokens', 'id', 'A number made from uid: MaEVE''s serial id is stored nowhere'),
            ('charge_station_certificates', 'id', 'A number made from station and certificate_id: MaEVE''s serial id is stored nowhere'),
            ('charge_station_certificates', 'created_at', 'When it was last set, UTC'),
            ('charge_station_certificates', 'certificate_installation_status', 'ocpp.charge_station_certificates.status'),
            ('charge_station_triggers', 'id', 'A number made from charge_station_id: MaEVE''s serial id is stored nowhere'),
            ('charge_station_triggers', 'trigger_status', 'ocpp.charge_station_triggers.status'),
            ('charge_station_runtime', 'created_at', 'ocpp.all_runtime.last_updated, UTC'),
            ('charge_station_runtime', 'updated_at', 'ocpp.all_runtime.last_updated, UTC'),
            ('certificates', 'certificate_hash', 'SHA-256 of the certificate (base64url), and in a second row of its PEM text (hexadecimal): MaEVE looks for either'),
            ('certificates', 'certificate_data', 'The certificate, PEM'),
            ('ocpi_parties', 'id', 'A number made from role, country and party: MaEVE''s serial id is stored nowhere'),
            ('locations', 'location_data', 'ocpp.locations.location, an OCPI location; secrets are masked for readers'),
            ('charge_station_status', 'connected', 'Always true: a broker does not report when a station leaves'),
            ('charge_station_status', 'last_heartbeat', 'When its last Heartbeat or BootNotification was received'),
            ('connector_status', 'connector_id', 'Connector (1.6) or EVSE (2.x)'),
            ('connector_status', 'error_code', '1.6: errorCode; NoError where not stated'),
            ('connector_status', 'timestamp', 'ocpp.connector_status.event_time; NULL = its time was invalid'),
            ('connector_status', 'current_transaction_id', 'Always NULL: StatusNotification names none'),
            ('firmware_update_status', 'location', 'Always empty: the request is in ocpp.csms_calls'),
            ('firmware_update_status', 'retrieve_date', 'When the newest status was received'),
            ('firmware_update_status', 'retry_count', 'Always 0: stations do not report it'),
            ('diagnostics_status', 'location', 'Always empty: the request is in ocpp.csms_calls'),
            ('meter_values', 'id', 'ocpp.meter_values.digest'),
            ('meter_values', 'timestamp', 'The station''s own time, UTC; the time of receipt if it gave no valid time'),
            ('meter_values', 'transaction_id', 'The transaction''s id as MaEVE has it: transaction_name()'),
            ('transaction_meter_values', 'id', 'A number made from the reading: MaEVE''s serial id is stored nowhere'),
            ('transaction_meter_values', 'transaction_id', 'transactions.id'),
            ('transaction_meter_values', 'timestamp', 'The station''s time of the reading, UTC'),
            ('transaction_meter_values', 'created_at', 'When it was received, UTC'),
            ('transaction_sources', 'id', 'The transaction''s id as MaEVE has it: transaction_name()'),
            ('transaction_sources', 'numbered', 'True for 1.6, where the id is a number'),
            ('transaction_sources', 'reported', 'True if a station reported it; false: it came through the store'),
            ('transaction_sources', 'updates', 'Events since the start, by seqNo; 0 for 1.6'),
            ('transaction_sources', 'first_event_at', 'Earliest event of it that is known; when it was stored, where it came through the store'),
            ('transaction_sources', 'last_event_at', 'Latest event of it that is known; when it last changed, where it came through the store'),
            ('transactions', 'token_uid', 'Token that started or authorized it; empty = not known'),
            ('transactions', 'token_type', 'Type of the token: ISO14443 for 1.6; empty = not known'),
            ('transactions', 'meter_stop', 'Wh; NULL = not known, or beyond 32 bits'),
            ('transactions', 'start_timestamp', 'The station''s time of the start, UTC; of the earliest event, or when it was stored, where that is not known'),
            ('transactions', 'stop_timestamp', 'The station''s time of the end, UTC; NULL = no end seen'),
            ('transactions', 'created_at', 'As start_timestamp'),
            ('transactions', 'last_cost', 'total_cost, in the currency of the CSMS; NULL = not known')
        )
        SELECT v.relname AS view_name, a.attname AS column_name, f.text
        FROM pg_class v
        JOIN pg_attribute a ON a.attrelid = v.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN texts s ON s.view_name = v.relname AND s.column_name = a.attname
        LEFT JOIN texts g ON g.view_name = '' AND g.column_name = a.attname
        CROSS JOIN LATERAL (
            SELECT coalesce(s.text, (
                SELECT col_description(t.oid, b.attnum)
                FROM pg_class t
                JOIN pg_attribute b ON b.attrelid = t.oid AND b.attname = a.attname
                WHERE t.relnamespace = 'ocpp'::regnamespace
                  AND t.relname = CASE v.relname WHEN 'transaction_sources' THEN 'transactions'
                      ELSE v.relname END AND t.relkind IN ('r', 'p')), g.text) AS text
        ) f
        WHERE v.relnamespace = 'maeve'::regnamespace AND v.relkind = 'v'
          AND col_description(v.oid, a.attnum) IS NULL AND f.text IS NOT NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', c.view_name, c.column_name, c.text);
    END LOOP;
END $$;
