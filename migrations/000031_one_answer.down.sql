CREATE OR REPLACE VIEW csms_calls AS
SELECT c.charge_station_id, c.event_time, c.action, c.message_id, c.ocpp_version,
    mask_secrets(c.payload, (SELECT words_to_mask('ocpp_events', 'payload'))) AS request,
    a.kind AS answer,
    coalesce(a.payload ->> 'status', a.error_code) AS status,
    mask_answer(a.payload, a.kind, c.action, (SELECT words_to_mask('ocpp_events', 'payload'))) AS response,
    a.error_code,
    mask_error(a.error_description, a.kind, c.action, (SELECT words_to_mask('ocpp_events', 'payload')))
        AS error_description,
    a.event_time AS answered_at,
    c.digest
FROM ocpp_events c
LEFT JOIN LATERAL (
    SELECT r.*
    FROM ocpp_events r
    WHERE r.charge_station_id = c.charge_station_id
      AND r.event_time BETWEEN c.received_at - interval '7 days' AND c.received_at + interval '7 days'
      AND r.message_id = c.message_id
      AND r.direction = 'in'
      AND r.kind IN ('result', 'error')
      AND r.action IN (c.action, '')
      AND (r.event_time BETWEEN c.received_at - interval '1 minute'
              AND c.received_at + interval '10 minutes'
          OR NOT EXISTS (
              SELECT FROM ocpp_events o
              WHERE o.charge_station_id = c.charge_station_id
                AND o.message_id = c.message_id
                AND o.event_time BETWEEN least(r.event_time, c.received_at) - interval '7 days'
                    AND greatest(r.event_time, c.received_at) + interval '7 days'
                AND (o.direction = 'in' AND o.kind IN ('result', 'error')
                    OR o.direction = 'out' AND o.kind = 'call')
                AND (o.event_time, o.evse_id, o.digest) <> (r.event_time, r.evse_id, r.digest)
                AND (o.event_time, o.evse_id, o.digest) <> (c.event_time, c.evse_id, c.digest)))
    ORDER BY (r.event_time < c.received_at),
        abs(extract(epoch FROM r.event_time - c.received_at)), r.digest
    LIMIT 1
) a ON c.message_id <> ''
WHERE c.direction = 'out' AND c.kind = 'call';
COMMENT ON VIEW csms_calls IS 'Calls of the CSMS, each with the station''s answer: result or error, NULL = none seen. A late answer is one if nothing else has its message id within 7 days';

CREATE OR REPLACE VIEW refused_results AS
SELECT e.charge_station_id, e.event_time, e.ocpp_version,
    CASE e.direction WHEN 'in' THEN 'station' ELSE 'csms' END AS refused_by,
    coalesce(nullif(e.action, ''), nullif(r.action, ''), c.action) AS action,
    e.message_id, e.error_code,
    mask_error(e.error_description, e.kind, coalesce(nullif(e.action, ''), nullif(r.action, ''),
        c.action), (SELECT words_to_mask('ocpp_events', 'payload'))) AS error_description,
    mask_answer(e.payload, e.kind, coalesce(nullif(e.action, ''), nullif(r.action, ''), c.action),
        (SELECT words_to_mask('ocpp_events', 'payload'))) AS details,
    mask_secrets(r.payload, (SELECT words_to_mask('ocpp_events', 'payload'))) AS result,
    mask_secrets(coalesce(c.payload, r.request), (SELECT words_to_mask('ocpp_events', 'payload'))) AS request,
    e.received_at, e.digest
FROM ocpp_events e
LEFT JOIN LATERAL (
    SELECT x.*
    FROM ocpp_events x
    WHERE x.charge_station_id = e.charge_station_id
      AND x.event_time BETWEEN e.received_at - interval '10 minutes'
          AND e.received_at + interval '1 minute'
      AND x.message_id = e.message_id
      AND x.direction <> e.direction
      AND x.kind = 'result'
      AND (e.action = '' OR x.action IN (e.action, ''))
    ORDER BY (x.event_time > e.received_at),
        abs(extract(epoch FROM x.event_time - e.received_at)), x.digest
    LIMIT 1
) r ON e.message_id <> ''
LEFT JOIN LATERAL (
    SELECT x.*
    FROM ocpp_events x
    WHERE x.charge_station_id = e.charge_station_id
      AND x.event_time BETWEEN e.received_at - interval '20 minutes'
          AND e.received_at + interval '1 minute'
      AND x.message_id = e.message_id
      AND x.direction = e.direction
      AND x.kind = 'call'
      AND (e.action = '' OR x.action = e.action)
      AND x.action = coalesce(nullif(r.action, ''), x.action)
    ORDER BY (x.event_time > e.received_at),
        abs(extract(epoch FROM x.event_time - e.received_at)), x.digest
    LIMIT 1
) c ON e.message_id <> ''
WHERE e.kind = 'result_error';
COMMENT ON VIEW refused_results IS '2.1: results that the other side could not use (CALLRESULTERROR), with the result and its call as far as they are in ocpp_events';

CREATE OR REPLACE VIEW unmatched_events AS
SELECT t.charge_station_id, t.event_time, t.received_at, t.ocpp_version, 'in' AS direction,
    'call' AS kind,
    CASE WHEN t.ocpp_version = '1.6' THEN 'StopTransaction' ELSE 'TransactionEvent' END AS action,
    t.message_id,
    CASE WHEN t.ocpp_version = '1.6' THEN 'StopTransaction without a transaction id'
        ELSE 'TransactionEvent without a transaction id' END AS reason,
    t.evse_id, t.digest
FROM transaction_events t
WHERE coalesce(t.transaction_id, '') = ''
  AND NOT (t.ocpp_version = '1.6' AND t.event_type = 'Started')
UNION ALL
SELECT t.charge_station_id, t.event_time, t.received_at, t.ocpp_version, 'in', 'call',
    'StartTransaction', t.message_id,
    'StartTransaction without an answer that gives it a transaction id', t.evse_id, t.digest
FROM transaction_events t
WHERE t.ocpp_version = '1.6' AND t.event_type = 'Started'
  AND NOT EXISTS (
    SELECT FROM transaction_starts s
    WHERE s.charge_station_id = t.charge_station_id AND s.event_time = t.event_time
      AND s.evse_id = t.evse_id AND s.digest = t.digest)
UNION ALL
SELECT a.charge_station_id, a.event_time, a.received_at, a.ocpp_version, 'in', 'call', 'Authorize',
    a.message_id, 'Authorize without an answer', a.evse_id, a.digest
FROM authorizations a
WHERE a.result_received_at IS NULL
UNION ALL
SELECT c.charge_station_id, c.event_time, c.received_at, c.ocpp_version, c.direction, c.kind,
    c.action, c.message_id,
    CASE c.direction WHEN 'in' THEN 'call of the station without an answer'
        ELSE 'call of the CSMS without an answer' END,
    c.evse_id, c.digest
FROM ocpp_events c
WHERE c.kind = 'call'
  -- From the station: of those whose answer always says something.
  AND CASE c.direction
        WHEN 'in' THEN c.action IN ('BootNotification', 'DataTransfer', 'Get15118EVCertificate',
            'GetCertificateStatus', 'GetCRL', 'NotifyEVChargingNeeds', 'NotifyEVChargingSchedule',
            'PullDynamicScheduleUpdate', 'SignCertificate')
        -- To it: of all but those whose answer may be empty.
        ELSE c.action NOT IN ('CostUpdated', 'GetDiagnostics', 'UpdateFirmware',
            'UpdateDynamicSchedule') END
  AND NOT EXISTS (
    SELECT FROM ocpp_events r
    WHERE r.charge_station_id = c.charge_station_id
      AND r.event_time BETWEEN c.received_at - interval '1 hour' AND c.received_at + interval '1 day'
      AND r.message_id = c.message_id AND r.direction <> c.direction
      AND r.kind IN ('result', 'error') AND r.action IN (c.action, ''))
UNION ALL
SELECT r.charge_station_id, r.event_time, r.received_at, r.ocpp_version, r.direction, r.kind,
    r.action, r.message_id,
    CASE WHEN r.kind = 'error' THEN 'error without a call' ELSE 'result without a call' END,
    r.evse_id, r.digest
FROM ocpp_events r
WHERE r.kind IN ('result', 'error') AND r.action <> 'MeterValues'
  -- The answer may repeat what it answers.
  AND r.request IS NULL
  AND NOT EXISTS (
    SELECT FROM ocpp_events c
    WHERE c.charge_station_id = r.charge_station_id
      AND c.event_time BETWEEN r.received_at - interval '1 day' AND r.received_at + interval '1 hour'
      AND c.message_id = r.message_id AND c.direction <> r.direction AND c.kind = 'call'
      AND r.action IN (c.action, ''))
  AND NOT EXISTS (
    SELECT FROM authorizations a
    WHERE r.direction = 'out' AND r.action IN ('Authorize', '')
      AND a.charge_station_id = r.charge_station_id
      AND a.event_time BETWEEN r.received_at - interval '7 days' AND r.received_at + interval '1 hour'
      AND a.message_id = r.message_id)
  AND NOT EXISTS (
    SELECT FROM transaction_events t
    WHERE r.direction = 'out'
      AND r.action IN ('StartTransaction', 'StopTransaction', 'TransactionEvent', '')
      AND t.charge_station_id = r.charge_station_id
      -- By the station's own time, which may be that of an offline station, or none.
      AND (t.message_id = r.message_id OR r.message_id = ANY (t.resent_as))
      AND t.received_at BETWEEN r.received_at - interval '7 days' AND r.received_at + interval '1 hour');

SELECT mask_views(quote_ident(current_schema()), ARRAY['transaction_events', 'authorizations'], true);
