-- What the store was told of settings: as store.sql, key by key; the other keys of a station stay as
-- they are. A delete is of all keys of a station that were said by then.
WITH told AS MATERIALIZED (
    SELECT x.*, jsonb_build_object('Value', x.value, 'Status', x.status,
            'SendAfter', to_char(coalesce(x.send_after, '0001-01-01 00:00:00Z') AT TIME ZONE 'UTC',
                'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'LastUpdated', to_char(x.last_updated AT TIME ZONE 'UTC',
                'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) AS said
    FROM {unnest}
), newest AS MATERIALIZED (
    SELECT DISTINCT ON (x.charge_station_id, x.deleted, x.key) x.*
    FROM told x
    ORDER BY x.charge_station_id, x.deleted, x.key, x.last_updated DESC,
        x.said::text COLLATE "C" DESC, x.n
), news AS MATERIALIZED (
    -- By what is there now. Another worker may be faster: then too many are counted as news.
    SELECT x.*
    FROM newest x
    LEFT JOIN charge_station_settings s ON s.charge_station_id = x.charge_station_id
    WHERE CASE WHEN x.deleted THEN x.last_updated > coalesce(s.deleted_at, '-infinity')
        ELSE x.last_updated > coalesce(s.deleted_at, '-infinity')
            AND (x.last_updated, x.said::text COLLATE "C")
              > (coalesce((s.settings #>> ARRAY[x.key, 'LastUpdated'])::timestamptz, '-infinity'),
                 coalesce((s.settings -> x.key)::text, '') COLLATE "C") END
), kept AS (
    INSERT INTO charge_station_settings AS t (
        charge_station_id, settings, last_updated, deleted_at, deleted, flags)
    SELECT g.charge_station_id,
        coalesce((
            SELECT jsonb_object_agg(k.key, k.value) FROM jsonb_each(g.settings) k
            WHERE (k.value ->> 'LastUpdated')::timestamptz > coalesce(g.deleted_at, '-infinity')),
            jsonb_build_object()),
        g.last_updated, g.deleted_at, coalesce(g.last_updated <= g.deleted_at, false), g.flags
    FROM (
        SELECT x.charge_station_id, max(x.last_updated) AS last_updated,
            max(x.last_updated) FILTER (WHERE x.deleted) AS deleted_at, bit_or(x.flags) AS flags,
            coalesce(jsonb_object_agg(x.key, x.said) FILTER (WHERE NOT x.deleted), jsonb_build_object()) AS settings
        FROM newest x
        GROUP BY x.charge_station_id
    ) g
    ORDER BY g.charge_station_id
    ON CONFLICT (charge_station_id) DO UPDATE
    SET settings = (
            SELECT coalesce(jsonb_object_agg(n.key, n.value), jsonb_build_object())
            FROM (
                SELECT DISTINCT ON (k.key) k.key, k.value
                FROM (SELECT * FROM jsonb_each(t.settings)
                    UNION ALL SELECT * FROM jsonb_each(excluded.settings)) k
                WHERE (k.value ->> 'LastUpdated')::timestamptz
                    > coalesce(greatest(t.deleted_at, excluded.deleted_at), '-infinity')
                ORDER BY k.key, (k.value ->> 'LastUpdated')::timestamptz DESC,
                    k.value::text COLLATE "C" DESC
            ) n),
        deleted_at = greatest(t.deleted_at, excluded.deleted_at),
        last_updated = greatest(t.last_updated, excluded.last_updated),
        deleted = coalesce(greatest(t.last_updated, excluded.last_updated)
            <= greatest(t.deleted_at, excluded.deleted_at), false),
        flags = coalesce(t.flags | excluded.flags, t.flags, excluded.flags),
        updated_at = now()
)
SELECT (x.n - 1)::integer FROM news x
