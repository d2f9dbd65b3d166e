SELECT k.kind,
    (SELECT count(*) FROM expected e WHERE e.kind = k.kind AND e.must),
    (SELECT count(*) FROM stored s WHERE s.kind = k.kind),
    count(d.fault) FILTER (WHERE d.fault = 'lost'),
    count(d.fault) FILTER (WHERE d.fault = 'doubled'),
    count(d.fault) FILTER (WHERE d.fault = 'altered'),
    count(d.fault) FILTER (WHERE d.fault = 'unexpected')
FROM (VALUES (1, 'meter_values'), (2, 'transaction_events'), (3, 'transactions'),
    (4, 'transaction_starts'), (5, 'authorizations'), (6, 'authorization_results'),
    (7, 'ocpp_events')) AS k (n, kind)
LEFT JOIN differences d ON d.kind = k.kind
GROUP BY k.n, k.kind
ORDER BY k.n
