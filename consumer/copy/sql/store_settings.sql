-- Messages to the store about settings: the same as store.sql, key by key; a station's other keys
-- stay. A delete removes all keys of a station that were set by then. A message without a value
-- reports the outcome of a change, and leaves the value alone: merged_setting(). All keys of a
-- station are one value. It is read once for everything that a batch says about the station, and ||
-- with an empty object unpacks it there: otherwise each key lookup would unpack it again.
WITH entries AS MATERIALIZED (
    SELECT x.*, jsonb_strip_nulls(jsonb_build_object('Value', x.value, 'Status', x.status,
            'SendAfter', to_char(coalesce(x.send_after, '0001-01-01 00:00:00Z') AT TIME ZONE 'UTC',
                'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'LastUpdated', to_char(x.last_updated AT TIME ZONE 'UTC',
                'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))) AS said
    FROM {unnest}
), sent AS MATERIALIZED (
    SELECT x.*, first_value(x.said) OVER (PARTITION BY x.charge_station_id, x.deleted, x.key
        ORDER BY x.value IS NULL, x.last_updated DESC, x.said::text COLLATE "C" DESC) AS valued
    FROM entries x
), newest AS MATERIALIZED (
    SELECT DISTINCT ON (x.charge_station_id, x.deleted, x.key) x.*,
        CASE WHEN x.value IS NULL THEN merged_setting(x.valued, x.said) ELSE x.said END AS entry
    FROM sent x
    ORDER BY x.charge_station_id, x.deleted, x.key, x.last_updated DESC,
        x.said::text COLLATE "C" DESC, x.n
), stations AS MATERIALIZED (
    SELECT x.charge_station_id, max(x.last_updated) AS last_updated,
        max(x.last_updated) FILTER (WHERE x.deleted) AS deleted_at, bit_or(x.flags) AS flags,
        coalesce(jsonb_object_agg(x.key, x.entry) FILTER (WHERE NOT x.deleted), jsonb_build_object()) AS settings,
        array_agg(x.n) AS ns, array_agg(x.deleted) AS deletes, array_agg(x.key) AS keys,
        array_agg(x.last_updated) AS times, array_agg(x.said) AS saids
    FROM newest x
    GROUP BY x.charge_station_id
), known AS MATERIALIZED (
    SELECT g.ns, g.deletes, g.keys, g.times, g.saids,
        coalesce(s.deleted_at, '-infinity') AS deleted_at, s.settings || jsonb_build_object() AS settings
    FROM stations g
    LEFT JOIN LATERAL (
        SELECT s.deleted_at, s.settings FROM charge_station_settings s
        WHERE s.charge_station_id = g.charge_station_id
        OFFSET 0) s ON true
), news AS MATERIALIZED (
    -- By the current value. Another worker may be faster: then too many count as changes.
    SELECT x.n
    FROM known k
    CROSS JOIN LATERAL unnest(k.ns, k.deletes, k.keys, k.times, k.saids)
        AS x (n, deleted, key, last_updated, said)
    WHERE x.last_updated > k.deleted_at
      AND (x.deleted
        OR (x.last_updated, x.said::text COLLATE "C")
          > (coalesce((k.settings -> x.key ->> 'LastUpdated')::timestamptz, '-infinity'),
             coalesce((k.settings -> x.key)::text, '') COLLATE "C"))
), kept AS (
    INSERT INTO charge_station_settings AS t (
        charge_station_id, settings, last_updated, deleted_at, deleted, flags)
    SELECT g.charge_station_id,
        coalesce((
            SELECT jsonb_object_agg(k.key, setting_after(k.value, g.deleted_at))
            FROM jsonb_each(g.settings) k
            WHERE (k.value ->> 'LastUpdated')::timestamptz > coalesce(g.deleted_at, '-infinity')),
            jsonb_build_object()),
        g.last_updated, g.deleted_at, coalesce(g.last_updated <= g.deleted_at, false), g.flags
    FROM stations g
    ORDER BY g.charge_station_id
    ON CONFLICT (charge_station_id) DO UPDATE
    SET settings = (
            -- What exists and was not deleted now, overlaid with what is newer.
            SELECT coalesce(CASE WHEN excluded.deleted_at > coalesce(t.deleted_at, '-infinity') THEN (
                    SELECT jsonb_object_agg(k.key, setting_after(k.value, excluded.deleted_at))
                    FROM jsonb_each(o.settings) k
                    WHERE (k.value ->> 'LastUpdated')::timestamptz > excluded.deleted_at)
                ELSE o.settings END, jsonb_build_object())
                || coalesce((
                    SELECT jsonb_object_agg(k.key, merged_setting(
                        setting_after(o.settings -> k.key, excluded.deleted_at),
                        setting_after(k.value, t.deleted_at)))
                    FROM jsonb_each(excluded.settings) k
                    WHERE (k.value ->> 'LastUpdated')::timestamptz > coalesce(t.deleted_at, '-infinity')),
                    jsonb_build_object())
            FROM (SELECT t.settings || jsonb_build_object() AS settings OFFSET 0) o),
        deleted_at = greatest(t.deleted_at, excluded.deleted_at),
        last_updated = greatest(t.last_updated, excluded.last_updated),
        deleted = coalesce(greatest(t.last_updated, excluded.last_updated)
            <= greatest(t.deleted_at, excluded.deleted_at), false),
        flags = coalesce(t.flags | excluded.flags, t.flags, excluded.flags),
        updated_at = now()
)
SELECT (x.n - 1)::integer FROM news x
