DROP FUNCTION prune_tombstones, store_forget, store_tables;
DROP TABLE tokens, charge_stations, charge_station_settings, charge_station_runtime,
    charge_station_certificates, charge_station_triggers, certificates, ocpi_registrations,
    ocpi_parties, locations;
