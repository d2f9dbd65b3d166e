-- The store's tables as MaEVE's: its names, columns in its order, its types as far as a view has
-- them (varchar without a length: nothing is cut; timestamp in UTC). Deleted rows are not there.
--
-- This group of migrations is made of schema ocpp, by that name: `ocpp-persister migrate maeve up`
-- does it, or golang-migrate with search_path=maeve. Everything here is views, functions and a few
-- indexes; taking it down loses nothing.

CREATE FUNCTION id_of(key text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashtextextended(key, 0) & 9223372036854775807
$$;
COMMENT ON FUNCTION id_of IS 'A number for a row whose key is text, where MaEVE counts rows';

CREATE FUNCTION utc(at timestamptz) RETURNS timestamp
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT at AT TIME ZONE 'UTC' $$;
COMMENT ON FUNCTION utc IS 'As MaEVE keeps times: without a zone';

CREATE VIEW tokens AS
SELECT id_of(t.uid) AS id,
    t.country_code::varchar AS country_code,
    t.party_id::varchar AS party_id,
    t.type::varchar AS type,
    t.uid::varchar AS uid,
    t.contract_id::varchar AS contract_id,
    t.visual_number::varchar AS visual_number,
    t.issuer::varchar AS issuer,
    t.group_id::varchar AS group_id,
    t.valid,
    t.language_code::varchar AS language_code,
    t.cache_mode::varchar AS cache_mode,
    utc(t.last_updated) AS last_updated,
    utc(t.created_at) AS created_at,
    utc(t.updated_at) AS updated_at
FROM ocpp.tokens t
WHERE NOT t.deleted;
COMMENT ON VIEW tokens IS 'ocpp.tokens. Of two sets the newest by last_updated counts.';
ALTER VIEW tokens ALTER valid SET DEFAULT true;

CREATE VIEW charge_stations AS
SELECT t.charge_station_id::varchar AS charge_station_id,
    t.security_profile,
    t.base64_sha256_password::varchar AS base64_sha256_password,
    t.invalid_username_allowed,
    utc(t.created_at) AS created_at,
    utc(t.updated_at) AS updated_at
FROM ocpp.charge_stations t
WHERE NOT t.deleted;
COMMENT ON VIEW charge_stations IS 'ocpp.charge_stations. Other tables may have rows of stations that are not here.';
ALTER VIEW charge_stations ALTER invalid_username_allowed SET DEFAULT false;

CREATE VIEW charge_station_settings AS
SELECT t.charge_station_id::varchar AS charge_station_id,
    (
        SELECT coalesce(jsonb_object_agg(k.key, jsonb_build_object(
            'Value', k.value -> 'Value',
            'Status', k.value -> 'Status',
            'SendAfter', regexp_replace(k.value ->> 'SendAfter', '\.0+Z$', 'Z'))), '{}')
        FROM jsonb_each(t.settings) k
    ) AS settings,
    utc(t.created_at) AS created_at,
    utc(t.updated_at) AS updated_at
FROM ocpp.charge_station_settings t
WHERE NOT t.deleted;
COMMENT ON VIEW charge_station_settings IS 'ocpp.charge_station_settings. What is written is merged key by key: keys that are not mentioned stay.';

CREATE VIEW charge_station_runtime AS
SELECT t.charge_station_id::varchar AS charge_station_id,
    t.ocpp_version::varchar AS ocpp_version,
    t.vendor::varchar AS vendor,
    t.model::varchar AS model,
    t.serial_number::varchar AS serial_number,
    t.firmware_version::varchar AS firmware_version,
    utc(t.last_updated) AS created_at,
    utc(t.last_updated) AS updated_at
FROM ocpp.all_runtime t;
COMMENT ON VIEW charge_station_runtime IS 'ocpp.all_runtime: told through the store, or by the station when it booted, whichever is newer';

CREATE VIEW charge_station_certificates AS
SELECT id_of(t.charge_station_id || '/' || t.certificate_id) AS id,
    t.charge_station_id::varchar AS charge_station_id,
    t.certificate_type::varchar AS certificate_type,
    t.certificate,
    utc(t.last_updated) AS created_at,
    t.certificate_id::varchar AS certificate_id,
    t.status::varchar AS certificate_installation_status,
    coalesce(utc(t.send_after), '0001-01-01') AS send_after
FROM ocpp.charge_station_certificates t
WHERE NOT t.deleted;
COMMENT ON VIEW charge_station_certificates IS 'ocpp.charge_station_certificates; send_after 0001-01-01 = at once; created_at is when it was last told, as there, where rows are made anew each time';
ALTER VIEW charge_station_certificates ALTER certificate_installation_status SET DEFAULT 'Pending';

CREATE VIEW charge_station_triggers AS
SELECT id_of(t.charge_station_id) AS id,
    t.charge_station_id::varchar AS charge_station_id,
    t.message_type::varchar AS message_type,
    utc(t.created_at) AS created_at,
    t.status::varchar AS trigger_status,
    coalesce(utc(t.send_after), '0001-01-01') AS send_after,
    t.connector_id
FROM ocpp.charge_station_triggers t
WHERE NOT t.deleted;
COMMENT ON VIEW charge_station_triggers IS 'ocpp.charge_station_triggers; send_after 0001-01-01 = at once';
ALTER VIEW charge_station_triggers ALTER trigger_status SET DEFAULT 'Pending';

CREATE FUNCTION certificate_key(pem text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT rtrim(translate(encode(sha256(decode(substring(pem
        FROM '-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----([^-]*)-----END'), 'base64')),
        'base64'), '+/' || chr(10), '-_'), '=')
$$;
COMMENT ON FUNCTION certificate_key IS 'The key of a certificate in ocpp.certificates: SHA-256 of its DER form in base64url';

CREATE FUNCTION pem_digest(pem text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT encode(sha256(convert_to(pem, 'UTF8')), 'hex')
$$;
COMMENT ON FUNCTION pem_digest IS 'What MaEVE''s PostgreSQL store, unlike its others, takes for the key of a certificate: SHA-256 of the text in hex';

CREATE INDEX maeve_certificates_pem_digest ON ocpp.certificates (maeve.pem_digest(pem))
    WHERE NOT deleted;

CREATE VIEW certificates AS
SELECT t.certificate_hash::varchar AS certificate_hash,
    t.certificate_type::varchar AS certificate_type,
    t.pem AS certificate_data,
    utc(t.created_at) AS created_at
FROM ocpp.certificates t
WHERE NOT t.deleted
UNION ALL
SELECT pem_digest(t.pem)::varchar, t.certificate_type::varchar, t.pem, utc(t.created_at)
FROM ocpp.certificates t
WHERE NOT t.deleted;
COMMENT ON VIEW certificates IS 'ocpp.certificates, each under both of its names: the SHA-256 of its DER form in base64url, as MaEVE''s API and its other stores have it, and of its PEM text in hex, as its PostgreSQL store has it';
ALTER VIEW certificates ALTER certificate_type SET DEFAULT 'PEM';

CREATE VIEW ocpi_registrations AS
SELECT t.token::varchar AS token,
    t.status::varchar AS status,
    utc(t.created_at) AS created_at,
    utc(t.updated_at) AS updated_at
FROM ocpp.ocpi_registrations t
WHERE NOT t.deleted;
COMMENT ON VIEW ocpi_registrations IS 'ocpp.ocpi_registrations';

CREATE VIEW ocpi_parties AS
SELECT id_of(t.role || '/' || t.country_code || '/' || t.party_id) AS id,
    t.role::varchar AS role,
    t.country_code::varchar AS country_code,
    t.party_id::varchar AS party_id,
    t.url::varchar AS url,
    t.token::varchar AS token,
    utc(t.created_at) AS created_at,
    utc(t.updated_at) AS updated_at
FROM ocpp.ocpi_parties t
WHERE NOT t.deleted;
COMMENT ON VIEW ocpi_parties IS 'ocpp.ocpi_parties';

CREATE VIEW locations AS
SELECT t.id::varchar AS id,
    t.country_code::varchar AS country_code,
    t.party_id::varchar AS party_id,
    t.location AS location_data,
    utc(t.created_at) AS created_at,
    utc(t.updated_at) AS updated_at
FROM ocpp.locations t
WHERE NOT t.deleted;
COMMENT ON VIEW locations IS 'ocpp.locations';
ALTER VIEW locations ALTER country_code SET DEFAULT 'XX';
ALTER VIEW locations ALTER party_id SET DEFAULT 'XXX';

-- Writing is telling the store: an insert of what is there replaces it, of two the newest counts, a
-- delete leaves the key and its time. What stands then is what RETURNING gives; nothing, if a newer
-- delete is known. Whoever may write to a view needs no right on the tables behind it.
--
-- Arguments of the trigger: the table in ocpp, its key, and columns that have another name there.
CREATE FUNCTION write_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
DECLARE
    key text[] := string_to_array(TG_ARGV[1], ',');
    told jsonb := to_jsonb(NEW);
    was jsonb := to_jsonb(OLD);
    found integer;
    c record;
BEGIN
    SELECT jsonb_object_agg(coalesce(TG_ARGV[2]::jsonb ->> f.key, f.key), f.value) INTO told
    FROM jsonb_each(coalesce(told, was)) f;
    IF TG_ARGV[0] = 'certificates' THEN
        told := told || jsonb_build_object('certificate_hash',
            maeve.certificate_key(told ->> 'pem'));
        IF told ->> 'certificate_hash' IS NULL THEN
            RAISE EXCEPTION 'certificate_data holds no certificate'
                USING ERRCODE = 'invalid_text_representation';
        END IF;
    ELSIF TG_OP = 'UPDATE' AND EXISTS (
            SELECT FROM unnest(key) k WHERE told ->> k IS DISTINCT FROM was ->> k) THEN
        RAISE EXCEPTION 'the key of a row of "%" cannot be changed', TG_TABLE_NAME
            USING ERRCODE = 'feature_not_supported', HINT = 'delete it and insert another';
    END IF;
    -- A time that was not told anew is not when this was said.
    IF told -> 'last_updated' = was -> 'last_updated' THEN
        told := told - 'last_updated';
    END IF;
    IF told ->> 'send_after' = '0001-01-01T00:00:00' THEN
        told := told - 'send_after';
    END IF;
    IF told ->> 'base64_sha256_password' = '' THEN
        told := told - 'base64_sha256_password';
    END IF;
    SELECT string_agg(format('%I', a.attname), ', ') AS names,
        string_agg(format('r.%I', a.attname), ', ') AS told,
        string_agg(format('%1$I = excluded.%1$I', a.attname), ', ')
            FILTER (WHERE a.attname <> ALL (key)) AS set,
        jsonb_object_agg(a.attname, CASE
            WHEN a.attname = ANY (key) THEN told -> a.attname::text
            WHEN NOT a.attnotnull THEN 'null'
            WHEN a.atttypid = 'boolean'::regtype THEN 'false'
            WHEN a.atttypid = 'integer'::regtype THEN '0'
            WHEN a.atttypid = 'jsonb'::regtype THEN '{}'
            ELSE '""' END) AS blank
    INTO c
    FROM pg_attribute a
    WHERE a.attrelid = format('ocpp.%I', TG_ARGV[0])::regclass
      AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attname NOT IN ('last_updated', 'deleted', 'created_at', 'updated_at');
    EXECUTE format('
        INSERT INTO ocpp.%1$I AS t (%2$s, last_updated, deleted)
        SELECT %3$s, coalesce(r.last_updated, (
            SELECT greatest(now(), k.last_updated + interval ''1 microsecond'')
            FROM ocpp.%1$I k WHERE (%5$s)), now()), $2
        FROM jsonb_populate_record(NULL::ocpp.%1$I, $1) r
        ON CONFLICT (%6$s) DO UPDATE
        SET %4$s, last_updated = excluded.last_updated, deleted = excluded.deleted,
            updated_at = now()
        WHERE excluded.last_updated > t.last_updated
           OR (excluded.last_updated = t.last_updated AND (excluded.deleted OR NOT t.deleted))',
        TG_ARGV[0], c.names, c.told, c.set,
        (SELECT string_agg(format('k.%1$I = r.%1$I', k), ' AND ') FROM unnest(key) k),
        (SELECT string_agg(format('%I', k), ', ') FROM unnest(key) k))
    USING CASE TG_OP WHEN 'DELETE' THEN c.blank ELSE told END, TG_OP = 'DELETE';
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    EXECUTE format('SELECT * FROM %I.%I WHERE %s', TG_TABLE_SCHEMA, TG_TABLE_NAME,
        (SELECT string_agg(format('%I = $1 ->> %L', k, k), ' AND ') FROM unnest(key) k))
    INTO NEW USING told;
    GET DIAGNOSTICS found = ROW_COUNT;
    RETURN CASE WHEN found > 0 THEN NEW END;
END $$;
COMMENT ON FUNCTION write_row IS 'For triggers: writes a row of a view into the store';

-- Only keys that differ from what was there are said anew: they alone are newer than what comes late.
CREATE FUNCTION write_settings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
DECLARE
    form CONSTANT text := 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"';
    station text := coalesce(to_jsonb(NEW), to_jsonb(OLD)) ->> 'charge_station_id';
    before jsonb := to_jsonb(OLD) -> 'settings';
    said timestamptz;
    changed jsonb;
BEGIN
    IF TG_OP = 'UPDATE' AND station <> to_jsonb(OLD) ->> 'charge_station_id' THEN
        RAISE EXCEPTION 'the key of a row of "%" cannot be changed', TG_TABLE_NAME
            USING ERRCODE = 'feature_not_supported', HINT = 'delete it and insert another';
    END IF;
    SELECT greatest(now(), s.last_updated + interval '1 microsecond'), coalesce(before, s.settings)
    INTO said, before
    FROM ocpp.charge_station_settings s
    WHERE s.charge_station_id = station
    FOR UPDATE;
    said := coalesce(said, now());
    IF TG_OP <> 'DELETE' THEN
        SELECT jsonb_object_agg(k.key, jsonb_build_object(
            'Value', coalesce(k.value ->> 'Value', ''),
            'Status', coalesce(k.value ->> 'Status', 'Pending'),
            'SendAfter', to_char(coalesce((k.value ->> 'SendAfter')::timestamptz,
                '0001-01-01 00:00:00Z'), form),
            'LastUpdated', to_char(said, form)))
        INTO changed
        FROM jsonb_each(NEW.settings) k
        WHERE (k.value ->> 'Value', k.value ->> 'Status',
                (k.value ->> 'SendAfter')::timestamptz)
            IS DISTINCT FROM (before #>> ARRAY[k.key, 'Value'], before #>> ARRAY[k.key, 'Status'],
                (before #>> ARRAY[k.key, 'SendAfter'])::timestamptz);
    END IF;
    INSERT INTO ocpp.charge_station_settings AS t (
        charge_station_id, settings, last_updated, deleted, deleted_at)
    VALUES (station, coalesce(changed, '{}'), said, TG_OP = 'DELETE',
        CASE TG_OP WHEN 'DELETE' THEN said END)
    ON CONFLICT (charge_station_id) DO UPDATE
    SET settings = CASE WHEN excluded.deleted THEN '{}' ELSE t.settings || excluded.settings END,
        last_updated = excluded.last_updated,
        deleted = excluded.deleted,
        deleted_at = coalesce(excluded.deleted_at, t.deleted_at),
        updated_at = now();
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    SELECT * INTO NEW FROM maeve.charge_station_settings s WHERE s.charge_station_id = station;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION write_settings IS 'For triggers: merges settings of a station into the store';

-- With a trigger of one's own on them, their owner's rights could be had.
REVOKE EXECUTE ON FUNCTION write_row, write_settings FROM PUBLIC;

CREATE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON tokens
    FOR EACH ROW EXECUTE FUNCTION write_row('tokens', 'uid', '{}');
CREATE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON charge_stations
    FOR EACH ROW EXECUTE FUNCTION write_row('charge_stations', 'charge_station_id', '{}');
CREATE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON charge_station_settings
    FOR EACH ROW EXECUTE FUNCTION write_settings();
CREATE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON charge_station_runtime
    FOR EACH ROW EXECUTE FUNCTION write_row('charge_station_runtime', 'charge_station_id', '{}');
CREATE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON charge_station_certificates
    FOR EACH ROW EXECUTE FUNCTION write_row('charge_station_certificates',
        'charge_station_id,certificate_id', '{"certificate_installation_status": "status"}');
CREATE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON charge_station_triggers
    FOR EACH ROW EXECUTE FUNCTION write_row('charge_station_triggers', 'charge_station_id',
        '{"trigger_status": "status"}');
CREATE TRIGGER write INSTEAD OF INSERT OR DELETE ON certificates
    FOR EACH ROW EXECUTE FUNCTION write_row('certificates', 'certificate_hash',
        '{"certificate_data": "pem"}');
CREATE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON ocpi_registrations
    FOR EACH ROW EXECUTE FUNCTION write_row('ocpi_registrations', 'token', '{}');
CREATE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON ocpi_parties
    FOR EACH ROW EXECUTE FUNCTION write_row('ocpi_parties', 'role,country_code,party_id', '{}');
CREATE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON locations
    FOR EACH ROW EXECUTE FUNCTION write_row('locations', 'id', '{"location_data": "location"}');

-- The same rights as on the tables behind: who reads reports has no business with credentials.
DO $$
DECLARE
    role text;
BEGIN
    FOR role IN SELECT rolname FROM pg_roles WHERE rolname IN ('ocpp_writer', 'ocpp_reader') LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA maeve TO %I', role);
    END LOOP;
    PERFORM ocpp.grant_table(v) FROM unnest(ARRAY['tokens', 'charge_stations',
        'charge_station_settings', 'charge_station_runtime', 'charge_station_certificates',
        'charge_station_triggers', 'certificates', 'ocpi_registrations', 'ocpi_parties',
        'locations']) v;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        REVOKE SELECT ON charge_stations, ocpi_registrations, ocpi_parties FROM ocpp_reader;
    END IF;
END $$;
