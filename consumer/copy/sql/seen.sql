-- Which messages without a time of their own were stored within the window before or after, and the
-- key under which they were stored: by this version, or by one with another digest for them.
-- Answers that name different actions are different. Numbers count from 0.
SELECT (x.n - 1)::integer, s.event_time, s.digest
FROM unnest($1::text[], $2::timestamptz[], $3::integer[], $4::bigint[], $6::bigint[], $7::text[])
    WITH ORDINALITY AS x (charge_station_id, event_time, evse_id, digest, former, action, n)
CROSS JOIN LATERAL (
    (SELECT t.event_time, t.digest
    FROM {table} t
    WHERE t.charge_station_id = x.charge_station_id
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
    WHERE x.former <> x.digest AND t.charge_station_id = x.charge_station_id
      AND t.event_time >= x.event_time - $5::bigint * interval '1 microsecond'
      AND t.event_time <= x.event_time + $5::bigint * interval '1 microsecond'
      AND t.evse_id = x.evse_id
      AND t.digest = x.former
      AND t.time_source = 'r'
      AND {names_agree}
    LIMIT 1)
    LIMIT 1
) s
