-- Calls whose result matters, and results that a call may wait for. Returns those that were not
-- stored.
INSERT INTO exchange_halves ({columns:exchange_halves})
SELECT {x_columns:exchange_halves} FROM {unnest:exchange_halves}
ORDER BY x.charge_station_id, x.message_id, x.half, x.received_at, x.digest
ON CONFLICT (charge_station_id, message_id, half, received_at, digest) DO NOTHING
RETURNING charge_station_id, message_id, half, received_at, digest
