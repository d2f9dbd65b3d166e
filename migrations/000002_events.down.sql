DROP FUNCTION flag_meanings(integer);
DROP FUNCTION flag_names(integer);
DROP TABLE ocpp_events, authorizations, transaction_events, meter_value_layouts, meter_values;
DELETE FROM partitioned_tables
WHERE table_name IN ('ocpp_events', 'authorizations', 'transaction_events', 'meter_values');
