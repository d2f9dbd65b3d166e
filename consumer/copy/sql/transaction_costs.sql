-- Costs of transactions so far; of copies of a message, the time of the last counts.
INSERT INTO transaction_costs (charge_station_id, transaction_id, digest, received_at, total_cost)
SELECT x.charge_station_id, x.transaction_id, x.digest, max(x.received_at),
    (array_agg(x.total_cost))[1]
FROM {unnest:reported_costs}
GROUP BY x.charge_station_id, x.transaction_id, x.digest
ORDER BY x.charge_station_id, x.transaction_id, x.digest
ON CONFLICT (charge_station_id, transaction_id, digest) DO UPDATE
SET received_at = excluded.received_at
WHERE excluded.received_at > transaction_costs.received_at
