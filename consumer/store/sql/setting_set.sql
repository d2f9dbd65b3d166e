-- Settings, key by key: the other keys of a station stay as they are, and of two values for one key
-- the one said last counts. Without a time of its own it is newer than what is there.
INSERT INTO charge_station_settings AS t (charge_station_id, settings, last_updated)
SELECT x.charge_station_id,
    jsonb_object_agg(x.key, jsonb_build_object('Value', x.value, 'Status', x.status,
        'SendAfter', to_char(coalesce(x.send_after, '0001-01-01 00:00:00Z') AT TIME ZONE 'UTC',
            'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'LastUpdated', to_char(x.said AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))),
    max(x.said)
FROM (
    SELECT DISTINCT ON (x.charge_station_id, x.key) x.*
    FROM (
        SELECT x.*, coalesce(x.last_updated, (
            SELECT greatest(now(), s.last_updated + interval '1 microsecond')
            FROM charge_station_settings s
            WHERE s.charge_station_id = x.charge_station_id), now())
        AS said
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[],
            $6::timestamptz[]) WITH ORDINALITY
            AS x (charge_station_id, key, value, status, send_after, last_updated, n)
    ) x
    ORDER BY x.charge_station_id, x.key, x.said DESC, x.n DESC
) x
GROUP BY x.charge_station_id
ORDER BY x.charge_station_id
ON CONFLICT (charge_station_id) DO UPDATE
SET settings = t.settings || (
        SELECT coalesce(jsonb_object_agg(k.key, k.value), '{}')
        FROM jsonb_each(excluded.settings) k
        WHERE (k.value ->> 'LastUpdated')::timestamptz > coalesce(t.deleted_at, '-infinity')
          AND (k.value ->> 'LastUpdated')::timestamptz
            >= coalesce((t.settings #>> ARRAY[k.key, 'LastUpdated'])::timestamptz, '-infinity')),
    last_updated = greatest(t.last_updated, excluded.last_updated),
    deleted = t.deleted AND excluded.last_updated <= t.deleted_at,
    updated_at = now()
