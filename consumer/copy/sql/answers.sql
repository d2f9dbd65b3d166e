-- What stations answered to calls that change or read what the store keeps: the answers and the
-- calls near them in time of receipt, as they are stored, whichever came with this batch. Rows are
-- for the tables of the store: s = a setting, t = what became of a trigger, c = of a certificate.
-- Which call an answer belongs to is settled by the two alone: not of two traces, or the same call
-- repeated in the answer. Of several calls of one message id it counts for each (of very many, for
-- the nearest), so that it does not matter in which order they come.
-- OFFSET 0 and the lateral joins: from the few new messages by index to the others.
WITH new AS MATERIALIZED (
    SELECT DISTINCT x.charge_station_id, x.message_id,
        x.event_time - {next:station_answers}::bigint * interval '1 microsecond' AS not_before,
        x.event_time + {next:station_answers}::bigint * interval '1 microsecond' AS not_after
    FROM {unnest:station_answers}
), answers AS MATERIALIZED (
    SELECT DISTINCT r.charge_station_id, r.message_id, r.received_at, r.digest, r.action,
        r.payload, r.request, r.trace_id
    FROM new x
    CROSS JOIN LATERAL (
        SELECT e.* FROM ocpp_events e
        WHERE e.charge_station_id = x.charge_station_id
          AND e.event_time BETWEEN x.not_before AND x.not_after
          AND e.message_id = x.message_id AND e.direction = 'in' AND e.kind = 'result'
        OFFSET 0) r
), exchanges AS MATERIALIZED (
    SELECT a.charge_station_id, a.received_at, coalesce(nullif(a.action, ''), c.action) AS action,
        coalesce(a.request, c.payload) AS request, a.payload AS response
    FROM answers a
    LEFT JOIN LATERAL (
        SELECT e.action, e.payload FROM ocpp_events e
        WHERE e.charge_station_id = a.charge_station_id
          AND e.event_time BETWEEN
              a.received_at - {next:station_answers}::bigint * interval '1 microsecond'
              AND a.received_at + {next:station_answers}::bigint * interval '1 microsecond'
          AND e.message_id = a.message_id AND e.direction = 'out' AND e.kind = 'call'
          AND a.action IN ('', e.action)
          AND (a.trace_id IS NULL OR e.trace_id IS NULL OR a.trace_id = e.trace_id)
          AND (a.request IS NULL OR a.action = '')
        ORDER BY e.received_at > a.received_at,
            abs(extract(epoch FROM e.received_at - a.received_at)), e.digest
        LIMIT 16) c ON true
)
SELECT 's', e.charge_station_id, e.received_at, e.request ->> 'key',
    coalesce(e.request ->> 'value', ''), e.response ->> 'status', NULL::bigint
FROM exchanges e
WHERE e.action = 'ChangeConfiguration'
UNION ALL
SELECT 's', e.charge_station_id, e.received_at, k.v ->> 'key', coalesce(k.v ->> 'value', ''),
    'Accepted', NULL
FROM exchanges e
CROSS JOIN LATERAL json_items(e.response -> 'configurationKey') AS k (v)
WHERE e.action = 'GetConfiguration'
UNION ALL
SELECT 's', e.charge_station_id, e.received_at, variable_key(r.v),
    d.v ->> variable_key(r.v), r.v ->> 'attributeStatus', NULL
FROM exchanges e
CROSS JOIN LATERAL (
    -- By key: a join would compare each with each. Of equal keys the last counts.
    SELECT jsonb_object_agg(variable_key(i.v), coalesce(i.v ->> 'attributeValue', ''))
        FILTER (WHERE variable_key(i.v) IS NOT NULL) AS v
    FROM json_items(e.request -> 'setVariableData') AS i (v)
    OFFSET 0) d
CROSS JOIN LATERAL json_items(e.response -> 'setVariableResult') AS r (v)
WHERE e.action = 'SetVariables' AND d.v ? variable_key(r.v)
UNION ALL
SELECT 's', e.charge_station_id, e.received_at, variable_key(r.v),
    coalesce(r.v ->> 'attributeValue', ''), 'Accepted', NULL
FROM exchanges e
CROSS JOIN LATERAL json_items(e.response -> 'getVariableResult') AS r (v)
WHERE e.action = 'GetVariables' AND r.v ->> 'attributeStatus' = 'Accepted'
UNION ALL
SELECT 't', e.charge_station_id, e.received_at, e.request ->> 'requestedMessage', NULL,
    e.response ->> 'status',
    coalesce(json_int(e.request -> 'connectorId'), json_int(e.request #> ARRAY['evse', 'connectorId']))
FROM exchanges e
WHERE e.action IN ('TriggerMessage', 'ExtendedTriggerMessage')
UNION ALL
SELECT 'c', e.charge_station_id, e.received_at,
    coalesce(e.request ->> 'certificateType', 'ChargingStationCertificate'),
    coalesce(e.request ->> 'certificate', e.request ->> 'certificateChain'),
    e.response ->> 'status', NULL
FROM exchanges e
WHERE e.action IN ('InstallCertificate', 'CertificateSigned')
