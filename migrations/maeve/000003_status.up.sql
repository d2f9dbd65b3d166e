-- What stations report of themselves, as MaEVE's tables. To read: nobody but stations knows it.

CREATE VIEW charge_station_status AS
SELECT t.charge_station_id::varchar AS charge_station_id,
    true AS connected,
    greatest(t.last_heartbeat_at, t.booted_at) AS last_heartbeat,
    t.firmware_version,
    t.model,
    t.vendor,
    t.serial_number,
    t.updated_at
FROM ocpp.charge_station_status t;
COMMENT ON VIEW charge_station_status IS 'ocpp.charge_station_status. connected is always true, as there: a broker does not tell when a station leaves.';

CREATE VIEW connector_status AS
SELECT t.charge_station_id::varchar AS charge_station_id,
    t.evse_id AS connector_id,
    coalesce(t.status, '') AS status,
    coalesce(t.error_code, 'NoError') AS error_code,
    t.info,
    CASE WHEN isfinite(t.event_time) THEN t.event_time END AS "timestamp",
    t.vendor_error_code,
    t.vendor_id,
    NULL::text AS current_transaction_id,
    t.updated_at
FROM ocpp.connector_status t
WHERE t.connector_id = (
    SELECT min(o.connector_id)
    FROM ocpp.connector_status o
    WHERE o.charge_station_id = t.charge_station_id AND o.evse_id = t.evse_id);
COMMENT ON VIEW connector_status IS 'ocpp.connector_status. MaEVE counts connectors as 1.6 does: those of 2.x are there by their EVSE, whose first connector it is.';

CREATE VIEW firmware_update_status AS
SELECT t.charge_station_id,
    coalesce(t.status, '') AS status,
    '' AS location,
    t.received_at AS retrieve_date,
    0 AS retry_count,
    t.updated_at
FROM ocpp.operation_status t
WHERE t.operation = 'firmware';
COMMENT ON VIEW firmware_update_status IS 'ocpp.operation_status; where the firmware comes from is in ocpp.csms_calls';

CREATE VIEW diagnostics_status AS
SELECT t.charge_station_id,
    coalesce(t.status, '') AS status,
    '' AS location,
    t.updated_at
FROM ocpp.operation_status t
WHERE t.operation = 'diagnostics';
COMMENT ON VIEW diagnostics_status IS 'ocpp.operation_status';

CREATE VIEW publish_firmware_status AS
SELECT t.charge_station_id,
    coalesce(t.status, '') AS status,
    '' AS location,
    '' AS checksum,
    coalesce(t.request_id, 0) AS request_id,
    t.updated_at
FROM ocpp.operation_status t
WHERE t.operation = 'publish_firmware';
COMMENT ON VIEW publish_firmware_status IS 'ocpp.operation_status';

CREATE VIEW log_status AS
SELECT t.charge_station_id,
    coalesce(t.status, '') AS status,
    coalesce(t.request_id, 0) AS request_id,
    t.updated_at
FROM ocpp.operation_status t
WHERE t.operation = 'log';
COMMENT ON VIEW log_status IS 'ocpp.operation_status';

-- Read-only by their grants: some of these PostgreSQL could update by itself.
DO $$
DECLARE
    role text;
BEGIN
    FOR role IN SELECT rolname FROM pg_roles WHERE rolname IN ('ocpp_writer', 'ocpp_reader') LOOP
        EXECUTE format('GRANT SELECT ON charge_station_status, connector_status,
            firmware_update_status, diagnostics_status, publish_firmware_status, log_status
            TO %I', role);
    END LOOP;
END $$;
