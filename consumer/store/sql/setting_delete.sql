-- All settings of a station that were set by then; later ones stay.
INSERT INTO charge_station_settings AS t (
    charge_station_id, settings, last_updated, deleted_at, deleted)
SELECT $1::text, '{}', x.said, x.said, true
FROM (
    SELECT coalesce($2::timestamptz, (
        SELECT greatest(now(), s.last_updated) FROM charge_station_settings s
        WHERE s.charge_station_id = $1::text), now())
) x (said)
ON CONFLICT (charge_station_id) DO UPDATE
SET settings = (
        SELECT coalesce(jsonb_object_agg(k.key, k.value), '{}') FROM jsonb_each(t.settings) k
        WHERE (k.value ->> 'LastUpdated')::timestamptz > excluded.deleted_at),
    deleted = t.last_updated <= excluded.deleted_at OR t.deleted,
    deleted_at = greatest(t.deleted_at, excluded.deleted_at),
    last_updated = greatest(t.last_updated, excluded.last_updated),
    updated_at = now()
