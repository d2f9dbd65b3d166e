-- The halves of an id nearest to those of the batch, on either side and between them, within twice
-- pairing.keep (PAIRING_REACH). The program decides which belong together (pairing.c): this only
-- collects what it needs for that, a limited number for each run of new halves. Most ids are new,
-- and one lookup, k, is enough to see that. The rest takes its ids from k; otherwise the planner
-- might execute it first.
SELECT {t_columns:exchange_halves}
FROM {unnest:exchange_runs}
CROSS JOIN LATERAL (
    SELECT h.charge_station_id, h.message_id FROM exchange_halves h
    WHERE h.charge_station_id = x.charge_station_id AND h.message_id = x.message_id
    LIMIT 1) k
CROSS JOIN LATERAL (
    (SELECT * FROM exchange_halves h
    WHERE h.charge_station_id = k.charge_station_id AND h.message_id = k.message_id
      AND h.half = x.call_half AND h.received_at < x.first_at
      AND h.received_at >= x.first_at - {next:exchange_runs}::bigint * interval '1 microsecond'
    ORDER BY h.received_at DESC, h.digest DESC LIMIT 16)
  UNION ALL
    (SELECT * FROM exchange_halves h
    WHERE h.charge_station_id = k.charge_station_id AND h.message_id = k.message_id
      AND h.half = x.result_half AND h.received_at < x.first_at
      AND h.received_at >= x.first_at - {next:exchange_runs}::bigint * interval '1 microsecond'
    ORDER BY h.received_at DESC, h.digest DESC LIMIT 16)
  UNION ALL
    (SELECT * FROM exchange_halves h
    WHERE h.charge_station_id = k.charge_station_id AND h.message_id = k.message_id
      AND h.half = x.call_half AND h.received_at BETWEEN x.first_at AND x.last_at
    ORDER BY h.received_at, h.digest LIMIT 20000)
  UNION ALL
    (SELECT * FROM exchange_halves h
    WHERE h.charge_station_id = k.charge_station_id AND h.message_id = k.message_id
      AND h.half = x.result_half AND h.received_at BETWEEN x.first_at AND x.last_at
    ORDER BY h.received_at, h.digest LIMIT 20000)
  UNION ALL
    (SELECT * FROM exchange_halves h
    WHERE h.charge_station_id = k.charge_station_id AND h.message_id = k.message_id
      AND h.half = x.call_half AND h.received_at > x.last_at
      AND h.received_at <= x.last_at + {next:exchange_runs}::bigint * interval '1 microsecond'
    ORDER BY h.received_at, h.digest LIMIT 16)
  UNION ALL
    (SELECT * FROM exchange_halves h
    WHERE h.charge_station_id = k.charge_station_id AND h.message_id = k.message_id
      AND h.half = x.result_half AND h.received_at > x.last_at
      AND h.received_at <= x.last_at + {next:exchange_runs}::bigint * interval '1 microsecond'
    ORDER BY h.received_at, h.digest LIMIT 16)
) t
