-- Readers would see secrets through it.
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
FROM ocpp.charge_station_settings t
WHERE NOT t.deleted;
COMMENT ON VIEW charge_station_settings IS 'ocpp.charge_station_settings. What is written is merged key by key: keys that are not mentioned stay.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        REVOKE SELECT ON charge_station_settings FROM ocpp_reader;
    END IF;
END $$;
