-- The same as seen.sql if some of the messages are odd: a copy of a retained message may have any
-- age, and one with an invalid time has no time in its key (rows/rows.h). content is the digest
-- without the window; digest # content is the window. Each is looked up by the key that its copy
-- would have. Those with both oddities have no such key, since the window in it may be any: what
-- their station and EVSE have without a time is read once for all.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::integer[], $4::bigint[],
        $6::bigint[], $7::text[], $8::timestamptz[], $9::bigint[], $10::boolean[])
        WITH ORDINALITY AS x (charge_station_id, event_time, evse_id, digest, former, action,
            received_at, content, retained, n)
), kept_undated AS MATERIALIZED (
    SELECT x.charge_station_id, x.evse_id, jsonb_object_agg(x.content, x.n) AS contents
    FROM (
        SELECT x.charge_station_id, x.evse_id, x.content, jsonb_agg(x.n) AS n
        FROM asked x
        WHERE x.retained AND x.event_time = '-infinity'
        GROUP BY x.charge_station_id, x.evse_id, x.content) x
    GROUP BY x.charge_station_id, x.evse_id
)
SELECT (x.n - 1)::integer, s.event_time, s.digest
FROM asked x
CROSS JOIN LATERAL (
    (SELECT t.event_time, t.digest
    FROM {table} t
    WHERE NOT x.retained AND x.event_time > '-infinity'
      AND t.charge_station_id = x.charge_station_id
      AND t.event_time >= x.event_time - $5::bigint * interval '1 microsecond'
      AND t.event_time <= x.event_time + $5::bigint * interval '1 microsecond'
      AND t.evse_id = x.evse_id
      AND t.digest = x.digest
      AND t.time_source = 'r'
      AND {names_agree}
    LIMIT 1)
  UNION ALL
    (SELECT t.event_time, t.digest
    FROM {table} t
    WHERE x.former <> x.digest AND NOT x.retained AND x.event_time > '-infinity'
      AND t.charge_station_id = x.charge_station_id
      AND t.event_time >= x.event_time - $5::bigint * interval '1 microsecond'
      AND t.event_time <= x.event_time + $5::bigint * interval '1 microsecond'
      AND t.evse_id = x.evse_id
      AND t.digest = x.former
      AND t.time_source = 'r'
      AND {names_agree}
    LIMIT 1)
  UNION ALL
    (SELECT t.event_time, t.digest
    FROM (VALUES (x.digest), (x.content # ((x.digest # x.content) - 1)),
        (x.content # ((x.digest # x.content) + 1))) w (digest)
    CROSS JOIN LATERAL (
        SELECT t.event_time, t.digest
        FROM {table} t
        WHERE t.charge_station_id = x.charge_station_id
          AND t.event_time = '-infinity'
          AND t.evse_id = x.evse_id
          AND t.digest = w.digest
          AND t.received_at >= x.received_at - $5::bigint * interval '1 microsecond'
          AND t.received_at <= x.received_at + $5::bigint * interval '1 microsecond'
        OFFSET 0) t
    WHERE NOT x.retained AND x.event_time = '-infinity'
    LIMIT 1)
  UNION ALL
    (SELECT t.event_time, t.digest
    FROM {table} t
    WHERE x.retained AND x.event_time > '-infinity'
      AND t.charge_station_id = x.charge_station_id
      AND t.event_time > '-infinity'
      AND t.evse_id = x.evse_id
      AND t.digest = x.digest
      AND t.time_source = 'r'
      AND {names_agree}
    ORDER BY t.event_time DESC
    LIMIT 1)
  UNION ALL
    (SELECT t.event_time, t.digest
    FROM {table} t
    WHERE x.former <> x.digest AND x.retained AND x.event_time > '-infinity'
      AND t.charge_station_id = x.charge_station_id
      AND t.event_time > '-infinity'
      AND t.evse_id = x.evse_id
      AND t.digest = x.former
      AND t.time_source = 'r'
      AND {names_agree}
    ORDER BY t.event_time DESC
    LIMIT 1)
    LIMIT 1
) s
UNION ALL
SELECT (c.n::text::bigint - 1)::integer, t.event_time, t.digest
FROM kept_undated k
CROSS JOIN LATERAL (
    SELECT t.event_time, t.digest,
        k.contents -> (t.digest # ((extract(epoch FROM t.received_at) * 1000000)::bigint
            / greatest($5::bigint, 1)))::text AS numbers
    FROM {table} t
    WHERE t.charge_station_id = k.charge_station_id
      AND t.event_time = '-infinity'
      AND t.evse_id = k.evse_id
    OFFSET 0) t
CROSS JOIN LATERAL jsonb_array_elements(t.numbers) AS c (n)
WHERE t.numbers IS NOT NULL
