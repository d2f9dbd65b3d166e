-- Whoever may not read ocpp.charge_station_settings sees the values of secret keys masked (***).
-- MaEVE's own role needs them as they are: GRANT SELECT ON ocpp.charge_station_settings TO it.

CREATE OR REPLACE VIEW charge_station_settings AS
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
FROM ocpp.charge_station_settings_masked t
WHERE NOT t.deleted;
COMMENT ON VIEW charge_station_settings IS 'ocpp.charge_station_settings, with the values of secret keys masked for who may not read that. What is written is merged key by key: keys that are not mentioned stay.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        GRANT SELECT ON charge_station_settings TO ocpp_reader;
    END IF;
END $$;
