DROP VIEW charging_profiles, reservations, availability, monitoring_reports, device_reports,
    device_events, security_events, operations, boots, csms_calls;
DROP FUNCTION json_int(jsonb);
DROP FUNCTION json_items(jsonb);
DROP INDEX ocpp_events_action;
