DROP VIEW tokens, charge_stations, charge_station_settings, charge_station_runtime,
    charge_station_certificates, charge_station_triggers, certificates, ocpi_registrations,
    ocpi_parties, locations;
DROP INDEX ocpp.maeve_certificates_pem_digest;
DROP FUNCTION write_row, write_settings, pem_digest, certificate_key, utc, id_of;
DO $$
DECLARE
    role text;
BEGIN
    FOR role IN SELECT rolname FROM pg_roles WHERE rolname IN ('ocpp_writer', 'ocpp_reader') LOOP
        EXECUTE format('REVOKE USAGE ON SCHEMA maeve FROM %I', role);
    END LOOP;
END $$;
