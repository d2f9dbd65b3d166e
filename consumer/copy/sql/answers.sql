-- Stations' answers to calls that change or read what the store keeps: each answer with the call
-- that it counts for, as stored, whichever of the two came with this batch. Rows are for the tables
-- of the store: s = a setting, t = the outcome of a trigger, c = of a certificate. An answer may
-- repeat its call; then that is what it answers. One that does not name its action counts for each
-- call near it, whatever name it got (answer_names.sql). For GetConfiguration and GetVariables the
-- answer alone has all the data. Omissions mean nothing: stations never report the value of a key
-- that can only be written, and a known value stays. A refused change sets no value, and only its
-- outcome is reported; RebootRequired: the value is set, and takes effect at the next start. OFFSET
-- 0: look up the few wanted rows by key.
WITH exchanges AS MATERIALIZED (
    SELECT r.charge_station_id, r.received_at, coalesce(c.action, nullif(r.action, '')) AS action,
        coalesce(r.request, c.payload) AS request, r.payload AS response
    FROM {unnest:exchange_pairs}
    CROSS JOIN LATERAL (
        SELECT e.* FROM ocpp_events e
        WHERE e.charge_station_id = x.charge_station_id AND e.event_time = x.result_time
          AND e.evse_id = -1 AND e.digest = x.result_digest
        OFFSET 0) r
    LEFT JOIN LATERAL (
        SELECT e.action, e.payload FROM ocpp_events e
        WHERE e.charge_station_id = x.charge_station_id AND e.event_time = x.event_time
          AND e.evse_id = x.evse_id AND e.digest = x.digest
        OFFSET 0) c ON true
)
SELECT 's', e.charge_station_id, e.received_at, e.request ->> 'key',
    CASE WHEN e.response ->> 'status' IN ('Accepted', 'RebootRequired')
        THEN e.request ->> 'value' END, e.response ->> 'status', NULL::bigint
FROM exchanges e
WHERE e.action = 'ChangeConfiguration' AND e.request ->> 'value' IS NOT NULL
UNION ALL
SELECT 's', e.charge_station_id, e.received_at, k.v ->> 'key', k.v ->> 'value',
    'Accepted', NULL
FROM exchanges e
CROSS JOIN LATERAL json_items(e.response -> 'configurationKey') AS k (v)
WHERE e.action = 'GetConfiguration' AND k.v ->> 'value' IS NOT NULL
UNION ALL
SELECT 's', e.charge_station_id, e.received_at, variable_key(r.v),
    CASE WHEN r.v ->> 'attributeStatus' IN ('Accepted', 'RebootRequired')
        THEN d.v ->> variable_key(r.v) END, r.v ->> 'attributeStatus', NULL
FROM exchanges e
CROSS JOIN LATERAL (
    -- By key: a join would compare each with each. Of repeated keys the last counts.
    SELECT jsonb_object_agg(variable_key(i.v), i.v ->> 'attributeValue')
        FILTER (WHERE variable_key(i.v) IS NOT NULL
            AND i.v ->> 'attributeValue' IS NOT NULL) AS v
    FROM json_items(e.request -> 'setVariableData') AS i (v)
    OFFSET 0) d
CROSS JOIN LATERAL json_items(e.response -> 'setVariableResult') AS r (v)
WHERE e.action = 'SetVariables' AND d.v ? variable_key(r.v)
UNION ALL
SELECT 's', e.charge_station_id, e.received_at, variable_key(r.v),
    r.v ->> 'attributeValue', 'Accepted', NULL
FROM exchanges e
CROSS JOIN LATERAL json_items(e.response -> 'getVariableResult') AS r (v)
WHERE e.action = 'GetVariables' AND r.v ->> 'attributeStatus' = 'Accepted'
  AND r.v ->> 'attributeValue' IS NOT NULL
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
