DROP VIEW display_messages, variable_monitoring, charge_station_event, device_report,
    local_auth_list_entries, local_auth_list_versions, reservations, charging_profiles;

CREATE OR REPLACE VIEW publish_firmware_status AS
SELECT t.charge_station_id,
    coalesce(t.status, '') AS status,
    '' AS location,
    '' AS checksum,
    coalesce(t.request_id, 0) AS request_id,
    t.updated_at
FROM ocpp.operation_status t
WHERE t.operation = 'publish_firmware';
COMMENT ON VIEW publish_firmware_status IS 'ocpp.operation_status';
COMMENT ON COLUMN publish_firmware_status.location IS NULL;
COMMENT ON COLUMN publish_firmware_status.checksum IS NULL;

DROP VIEW answered_calls;
DROP INDEX ocpp.maeve_ocpp_events_reservation;
DROP FUNCTION reservation_of, schedule_periods, profile_purpose, time_of, whole_of, number_of;
