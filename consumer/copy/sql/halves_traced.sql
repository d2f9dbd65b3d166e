-- The other halves of the traces that halves of the batch have, wherever they are within
-- pairing.keep: on either side the nearest.
SELECT {t_columns:exchange_halves}
FROM {unnest:exchange_halves}
CROSS JOIN LATERAL (
    (SELECT * FROM exchange_halves h
    WHERE h.charge_station_id = x.charge_station_id AND h.message_id = x.message_id
      AND h.trace_id = x.trace_id AND h.half <> x.half
      AND h.received_at <= x.received_at
      AND h.received_at >= x.received_at - {next:exchange_halves}::bigint * interval '1 microsecond'
    ORDER BY h.received_at DESC LIMIT 4)
  UNION ALL
    (SELECT * FROM exchange_halves h
    WHERE h.charge_station_id = x.charge_station_id AND h.message_id = x.message_id
      AND h.trace_id = x.trace_id AND h.half <> x.half
      AND h.received_at > x.received_at
      AND h.received_at <= x.received_at + {next:exchange_halves}::bigint * interval '1 microsecond'
    ORDER BY h.received_at LIMIT 4)
) t
