DROP VIEW suspicious_sessions, sessions, meter_values_json, meter_samples;
DROP FUNCTION normalised(numeric, numeric, integer);
DROP FUNCTION unit_factor(text);
DROP FUNCTION unit_name(text);
