DROP VIEW signed_sessions;
DROP FUNCTION public_key_of;
DROP FUNCTION signed_readings_of;
DROP VIEW signed_readings;
DROP FUNCTION register_as_sent;
DROP FUNCTION signed_format;
DROP FUNCTION signed_text;
DROP FUNCTION signed_member;
