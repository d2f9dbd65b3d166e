-- The other halves with the traces of the batch's halves, anywhere within pairing.keep: the nearest
-- on either side.
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
