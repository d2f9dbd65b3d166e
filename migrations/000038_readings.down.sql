DROP VIEW meter_gaps;
DROP VIEW latest_readings;
DROP FUNCTION newest_readings;
DROP FUNCTION silent_stations;
