-- The store: what a CSMS must know beside what stations report. Every row carries the time that it
-- speaks of: the newest counts, so sets and deletes may come in any order, any number of times. A
-- delete leaves a row without content (tombstone), for store_forget() to remove.

CREATE TABLE tokens (
    uid text COLLATE "C" NOT NULL,
    type text NOT NULL,
    country_code text NOT NULL,
    party_id text NOT NULL,
    contract_id text NOT NULL,
    visual_number text,
    issuer text NOT NULL,
    group_id text,
    valid boolean NOT NULL,
    language_code text,
    cache_mode text NOT NULL,
    last_updated timestamptz NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (uid)
);
CREATE INDEX tokens_contract_id ON tokens (contract_id);
CREATE INDEX tokens_valid ON tokens (valid);
CREATE INDEX tokens_cache_mode ON tokens (cache_mode);
CREATE INDEX tokens_deleted ON tokens (last_updated) WHERE deleted;
COMMENT ON TABLE tokens IS 'Tokens that may charge, as OCPI describes them';
COMMENT ON COLUMN tokens.uid IS 'What a station reads from the card or app';
COMMENT ON COLUMN tokens.type IS 'RFID, APP_USER, ...';
COMMENT ON COLUMN tokens.country_code IS 'Of the party that issued it; two letters, or three as older OCPI has them';
COMMENT ON COLUMN tokens.party_id IS 'Of the party that issued it';
COMMENT ON COLUMN tokens.contract_id IS 'eMAID or the like: who pays';
COMMENT ON COLUMN tokens.visual_number IS 'As printed on the card';
COMMENT ON COLUMN tokens.issuer IS 'Name of the company that issued it';
COMMENT ON COLUMN tokens.group_id IS 'Tokens of one group may stop each other''s transactions';
COMMENT ON COLUMN tokens.valid IS 'False: known, but may not charge';
COMMENT ON COLUMN tokens.language_code IS 'Of the driver';
COMMENT ON COLUMN tokens.cache_mode IS 'ALWAYS, ALLOWED, ALLOWED_OFFLINE, NEVER';
COMMENT ON COLUMN tokens.last_updated IS 'When this was said; of two the newest counts, and of a set and a delete of one time the delete';
COMMENT ON COLUMN tokens.deleted IS 'Was deleted at last_updated; the row stays for a while, so that an older set that comes late does not bring it back';
COMMENT ON COLUMN tokens.created_at IS 'When it was first stored here';
COMMENT ON COLUMN tokens.updated_at IS 'When this row last changed here';
SELECT grant_table('tokens');

CREATE TABLE charge_stations (
    charge_station_id text COLLATE "C" NOT NULL,
    security_profile integer NOT NULL,
    base64_sha256_password text,
    invalid_username_allowed boolean NOT NULL,
    last_updated timestamptz NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_station_id)
);
CREATE INDEX charge_stations_deleted ON charge_stations (last_updated) WHERE deleted;
COMMENT ON TABLE charge_stations IS 'How charge stations log in. No other table refers to it, since messages about a station may come before it is registered.';
COMMENT ON COLUMN charge_stations.charge_station_id IS 'Charge station';
COMMENT ON COLUMN charge_stations.security_profile IS '0 = password, 1 = TLS and password, 2 = TLS with client certificate';
COMMENT ON COLUMN charge_stations.base64_sha256_password IS 'Base64 of the SHA-256 of the password; NULL = none';
COMMENT ON COLUMN charge_stations.invalid_username_allowed IS 'True: a wrong user name is let pass if the password is right';
COMMENT ON COLUMN charge_stations.last_updated IS 'When this was said; of two the newest counts, and of a set and a delete of one time the delete';
COMMENT ON COLUMN charge_stations.deleted IS 'Was deleted at last_updated; the row stays for a while, so that an older set that comes late does not bring it back';
COMMENT ON COLUMN charge_stations.created_at IS 'When it was first stored here';
COMMENT ON COLUMN charge_stations.updated_at IS 'When this row last changed here';
SELECT grant_table('charge_stations');

CREATE TABLE charge_station_settings (
    charge_station_id text COLLATE "C" NOT NULL,
    settings jsonb NOT NULL,
    deleted_at timestamptz,
    last_updated timestamptz NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_station_id)
);
CREATE INDEX charge_station_settings_deleted ON charge_station_settings (last_updated) WHERE deleted;
COMMENT ON TABLE charge_station_settings IS 'Settings of charge stations and what came of setting them';
COMMENT ON COLUMN charge_station_settings.charge_station_id IS 'Charge station';
COMMENT ON COLUMN charge_station_settings.settings IS 'By key: {"HeartbeatInterval": {"Value", "Status", "SendAfter", "LastUpdated"}}; merged key by key, each with a time of its own';
COMMENT ON COLUMN charge_station_settings.deleted_at IS 'All keys of that time and before were deleted';
COMMENT ON COLUMN charge_station_settings.last_updated IS 'When this was said; of two the newest counts, and of a set and a delete of one time the delete';
COMMENT ON COLUMN charge_station_settings.deleted IS 'Was deleted at last_updated; the row stays for a while, so that an older set that comes late does not bring it back';
COMMENT ON COLUMN charge_station_settings.created_at IS 'When it was first stored here';
COMMENT ON COLUMN charge_station_settings.updated_at IS 'When this row last changed here';
SELECT grant_table('charge_station_settings');

CREATE TABLE charge_station_runtime (
    charge_station_id text COLLATE "C" NOT NULL,
    ocpp_version text NOT NULL,
    vendor text,
    model text,
    serial_number text,
    firmware_version text,
    last_updated timestamptz NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_station_id)
);
CREATE INDEX charge_station_runtime_deleted ON charge_station_runtime (last_updated) WHERE deleted;
COMMENT ON TABLE charge_station_runtime IS 'What charge stations say of themselves when they boot';
COMMENT ON COLUMN charge_station_runtime.charge_station_id IS 'Charge station';
COMMENT ON COLUMN charge_station_runtime.ocpp_version IS '1.6, 2.0.1 or 2.1';
COMMENT ON COLUMN charge_station_runtime.vendor IS 'Vendor';
COMMENT ON COLUMN charge_station_runtime.model IS 'Model';
COMMENT ON COLUMN charge_station_runtime.serial_number IS 'Serial number';
COMMENT ON COLUMN charge_station_runtime.firmware_version IS 'Firmware version';
COMMENT ON COLUMN charge_station_runtime.last_updated IS 'When this was said; of two the newest counts, and of a set and a delete of one time the delete';
COMMENT ON COLUMN charge_station_runtime.deleted IS 'Was deleted at last_updated; the row stays for a while, so that an older set that comes late does not bring it back';
COMMENT ON COLUMN charge_station_runtime.created_at IS 'When it was first stored here';
COMMENT ON COLUMN charge_station_runtime.updated_at IS 'When this row last changed here';
SELECT grant_table('charge_station_runtime');

CREATE TABLE charge_station_certificates (
    charge_station_id text COLLATE "C" NOT NULL,
    certificate_id text COLLATE "C" NOT NULL,
    certificate_type text NOT NULL,
    certificate text NOT NULL,
    status text NOT NULL,
    send_after timestamptz,
    last_updated timestamptz NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_station_id, certificate_id)
);
CREATE INDEX charge_station_certificates_deleted ON charge_station_certificates (last_updated) WHERE deleted;
COMMENT ON TABLE charge_station_certificates IS 'Certificates to be installed in charge stations, and what came of it';
COMMENT ON COLUMN charge_station_certificates.charge_station_id IS 'Charge station';
COMMENT ON COLUMN charge_station_certificates.certificate_id IS 'Name of the certificate, unique per station';
COMMENT ON COLUMN charge_station_certificates.certificate_type IS 'V2GRootCertificate, MORootCertificate, EVCC, ...';
COMMENT ON COLUMN charge_station_certificates.certificate IS 'The certificate as PEM';
COMMENT ON COLUMN charge_station_certificates.status IS 'Pending, Accepted, Rejected, ...';
COMMENT ON COLUMN charge_station_certificates.send_after IS 'Not before then; NULL = at once';
COMMENT ON COLUMN charge_station_certificates.last_updated IS 'When this was said; of two the newest counts, and of a set and a delete of one time the delete';
COMMENT ON COLUMN charge_station_certificates.deleted IS 'Was deleted at last_updated; the row stays for a while, so that an older set that comes late does not bring it back';
COMMENT ON COLUMN charge_station_certificates.created_at IS 'When it was first stored here';
COMMENT ON COLUMN charge_station_certificates.updated_at IS 'When this row last changed here';
SELECT grant_table('charge_station_certificates');

CREATE TABLE charge_station_triggers (
    charge_station_id text COLLATE "C" NOT NULL,
    message_type text NOT NULL,
    status text NOT NULL,
    connector_id integer,
    send_after timestamptz,
    last_updated timestamptz NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_station_id)
);
CREATE INDEX charge_station_triggers_deleted ON charge_station_triggers (last_updated) WHERE deleted;
COMMENT ON TABLE charge_station_triggers IS 'The message that a charge station shall be asked for; one per station';
COMMENT ON COLUMN charge_station_triggers.charge_station_id IS 'Charge station';
COMMENT ON COLUMN charge_station_triggers.message_type IS 'BootNotification, StatusNotification, ...';
COMMENT ON COLUMN charge_station_triggers.status IS 'Pending, Accepted, Rejected, ...';
COMMENT ON COLUMN charge_station_triggers.connector_id IS 'Connector that is meant; NULL = the station';
COMMENT ON COLUMN charge_station_triggers.send_after IS 'Not before then; NULL = at once';
COMMENT ON COLUMN charge_station_triggers.last_updated IS 'When this was said; of two the newest counts, and of a set and a delete of one time the delete';
COMMENT ON COLUMN charge_station_triggers.deleted IS 'Was deleted at last_updated; the row stays for a while, so that an older set that comes late does not bring it back';
COMMENT ON COLUMN charge_station_triggers.created_at IS 'When it was first stored here';
COMMENT ON COLUMN charge_station_triggers.updated_at IS 'When this row last changed here';
SELECT grant_table('charge_station_triggers');

CREATE TABLE certificates (
    certificate_hash text COLLATE "C" NOT NULL,
    certificate_type text NOT NULL,
    pem text NOT NULL,
    last_updated timestamptz NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (certificate_hash)
);
CREATE INDEX certificates_deleted ON certificates (last_updated) WHERE deleted;
COMMENT ON TABLE certificates IS 'Certificates by their fingerprint';
COMMENT ON COLUMN certificates.certificate_hash IS 'SHA-256 of the DER form in base64url without padding: equal certificates are equal however their PEM is wrapped';
COMMENT ON COLUMN certificates.certificate_type IS 'PEM';
COMMENT ON COLUMN certificates.pem IS 'The certificate';
COMMENT ON COLUMN certificates.last_updated IS 'When this was said; of two the newest counts, and of a set and a delete of one time the delete';
COMMENT ON COLUMN certificates.deleted IS 'Was deleted at last_updated; the row stays for a while, so that an older set that comes late does not bring it back';
COMMENT ON COLUMN certificates.created_at IS 'When it was first stored here';
COMMENT ON COLUMN certificates.updated_at IS 'When this row last changed here';
SELECT grant_table('certificates');

CREATE TABLE ocpi_registrations (
    token text COLLATE "C" NOT NULL,
    status text NOT NULL,
    last_updated timestamptz NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (token)
);
CREATE INDEX ocpi_registrations_deleted ON ocpi_registrations (last_updated) WHERE deleted;
COMMENT ON TABLE ocpi_registrations IS 'OCPI tokens of roaming partners';
COMMENT ON COLUMN ocpi_registrations.token IS 'The credential';
COMMENT ON COLUMN ocpi_registrations.status IS 'pending, registered';
COMMENT ON COLUMN ocpi_registrations.last_updated IS 'When this was said; of two the newest counts, and of a set and a delete of one time the delete';
COMMENT ON COLUMN ocpi_registrations.deleted IS 'Was deleted at last_updated; the row stays for a while, so that an older set that comes late does not bring it back';
COMMENT ON COLUMN ocpi_registrations.created_at IS 'When it was first stored here';
COMMENT ON COLUMN ocpi_registrations.updated_at IS 'When this row last changed here';
SELECT grant_table('ocpi_registrations');

CREATE TABLE ocpi_parties (
    role text COLLATE "C" NOT NULL,
    country_code text COLLATE "C" NOT NULL,
    party_id text COLLATE "C" NOT NULL,
    url text NOT NULL,
    token text NOT NULL,
    last_updated timestamptz NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (role, country_code, party_id)
);
CREATE INDEX ocpi_parties_deleted ON ocpi_parties (last_updated) WHERE deleted;
COMMENT ON TABLE ocpi_parties IS 'Roaming partners';
COMMENT ON COLUMN ocpi_parties.role IS 'CPO, EMSP, ...';
COMMENT ON COLUMN ocpi_parties.country_code IS 'Country, two letters or three';
COMMENT ON COLUMN ocpi_parties.party_id IS 'The party within its country';
COMMENT ON COLUMN ocpi_parties.url IS 'Where it is called';
COMMENT ON COLUMN ocpi_parties.token IS 'The credential it is called with';
COMMENT ON COLUMN ocpi_parties.last_updated IS 'When this was said; of two the newest counts, and of a set and a delete of one time the delete';
COMMENT ON COLUMN ocpi_parties.deleted IS 'Was deleted at last_updated; the row stays for a while, so that an older set that comes late does not bring it back';
COMMENT ON COLUMN ocpi_parties.created_at IS 'When it was first stored here';
COMMENT ON COLUMN ocpi_parties.updated_at IS 'When this row last changed here';
SELECT grant_table('ocpi_parties');

CREATE TABLE locations (
    id text COLLATE "C" NOT NULL,
    country_code text COLLATE "C" NOT NULL,
    party_id text COLLATE "C" NOT NULL,
    location jsonb NOT NULL,
    last_updated timestamptz NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id)
);
CREATE INDEX locations_country_code_party_id ON locations (country_code, party_id);
CREATE INDEX locations_deleted ON locations (last_updated) WHERE deleted;
COMMENT ON TABLE locations IS 'Places with charge stations, as OCPI describes them';
COMMENT ON COLUMN locations.id IS 'Location';
COMMENT ON COLUMN locations.country_code IS 'Country, two letters or three';
COMMENT ON COLUMN locations.party_id IS 'The party that runs it';
COMMENT ON COLUMN locations.location IS 'All of it';
COMMENT ON COLUMN locations.last_updated IS 'When this was said; of two the newest counts, and of a set and a delete of one time the delete';
COMMENT ON COLUMN locations.deleted IS 'Was deleted at last_updated; the row stays for a while, so that an older set that comes late does not bring it back';
COMMENT ON COLUMN locations.created_at IS 'When it was first stored here';
COMMENT ON COLUMN locations.updated_at IS 'When this row last changed here';
SELECT grant_table('locations');

-- Who reads reports has no business with credentials.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        REVOKE SELECT ON charge_stations, ocpi_registrations, ocpi_parties FROM ocpp_reader;
    END IF;
END $$;

CREATE FUNCTION store_tables() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['tokens', 'charge_stations', 'charge_station_settings',
        'charge_station_runtime', 'charge_station_certificates', 'charge_station_triggers',
        'certificates', 'ocpi_registrations', 'ocpi_parties', 'locations']
$$;
COMMENT ON FUNCTION store_tables IS 'Tables of the store whose rows may have been deleted';

CREATE FUNCTION store_forget(before timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    name text;
    gone bigint;
    total bigint := 0;
BEGIN
    FOREACH name IN ARRAY store_tables() LOOP
        EXECUTE format('DELETE FROM %I WHERE deleted AND last_updated < $1', name) USING before;
        GET DIAGNOSTICS gone = ROW_COUNT;
        total := total + gone;
    END LOOP;
    RETURN total;
END $$;
COMMENT ON FUNCTION store_forget IS 'Removes what was deleted before a time; returns how many rows. A set from before its delete that comes after this brings it back.';

-- The same for maintenance: a delete that is stored only now is remembered for as long, whatever time
-- it speaks of. At most max_rows of a table at once; rows that another worker removes are left to it.
CREATE FUNCTION prune_tombstones(keep interval, max_rows integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    name text;
    gone bigint;
    total bigint := 0;
BEGIN
    FOREACH name IN ARRAY store_tables() LOOP
        EXECUTE format('DELETE FROM %1$I WHERE ctid = ANY (ARRAY(SELECT ctid FROM %1$I'
            ' WHERE deleted AND last_updated < now() - $1 AND updated_at < now() - $1'
            ' LIMIT $2 FOR UPDATE SKIP LOCKED))', name) USING keep, max_rows;
        GET DIAGNOSTICS gone = ROW_COUNT;
        total := total + gone;
    END LOOP;
    RETURN total;
END $$;
COMMENT ON FUNCTION prune_tombstones IS 'Removes rows that were deleted, and whose delete was stored, longer ago than keep.';
