-- A message to the store that is dated later than it was received: when it was received counts, or it
-- would outlast every later set and delete.

ALTER TABLE tokens ADD COLUMN flags integer;
COMMENT ON COLUMN tokens.flags IS 'What looks odd about what was told last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which stands there instead';
ALTER TABLE charge_stations ADD COLUMN flags integer;
COMMENT ON COLUMN charge_stations.flags IS 'What looks odd about what was told last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which stands there instead';
ALTER TABLE charge_station_settings ADD COLUMN flags integer;
COMMENT ON COLUMN charge_station_settings.flags IS 'What looked odd about what was told of any key; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which stands there instead';
ALTER TABLE charge_station_runtime ADD COLUMN flags integer;
COMMENT ON COLUMN charge_station_runtime.flags IS 'What looks odd about what was told last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which stands there instead';
ALTER TABLE charge_station_certificates ADD COLUMN flags integer;
COMMENT ON COLUMN charge_station_certificates.flags IS 'What looks odd about what was told last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which stands there instead';
ALTER TABLE charge_station_triggers ADD COLUMN flags integer;
COMMENT ON COLUMN charge_station_triggers.flags IS 'What looks odd about what was told last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which stands there instead';
ALTER TABLE certificates ADD COLUMN flags integer;
COMMENT ON COLUMN certificates.flags IS 'What looks odd about what was told last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which stands there instead';
ALTER TABLE ocpi_registrations ADD COLUMN flags integer;
COMMENT ON COLUMN ocpi_registrations.flags IS 'What looks odd about what was told last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which stands there instead';
ALTER TABLE ocpi_parties ADD COLUMN flags integer;
COMMENT ON COLUMN ocpi_parties.flags IS 'What looks odd about what was told last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which stands there instead';
ALTER TABLE locations ADD COLUMN flags integer;
COMMENT ON COLUMN locations.flags IS 'What looks odd about what was told last; see flag_names(). NULL = nothing. time_future: last_updated was later than the time of receipt, which stands there instead';

SELECT grant_readers();
