-- What ocpp_events holds as payloads, by its fields. One row per thing that a message speaks of. No
-- view may fail on any payload: fields are read as text, arrays only where there is one, and a number
-- only where it is one. Times in payloads stay as written; event_time is when it happened.

-- The views ask by action, and mostly for one station. What comes all the time has no need of it.
CREATE INDEX ocpp_events_action ON ocpp_events (action, charge_station_id, event_time)
    WHERE action <> ALL (ARRAY['Heartbeat', 'StatusNotification', 'MeterValues',
        'TransactionEvent', 'StartTransaction', 'StopTransaction', 'Authorize', 'DataTransfer']);

CREATE FUNCTION json_items(v jsonb) RETURNS SETOF jsonb
LANGUAGE sql IMMUTABLE ROWS 10 AS $$
    SELECT jsonb_array_elements(CASE jsonb_typeof(v) WHEN 'array' THEN v ELSE '[]' END)
$$;
COMMENT ON FUNCTION json_items IS 'The elements of an array; none if it is no array';

CREATE FUNCTION json_int(v jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN v #>> '{}' ~ '^-?[0-9]{1,18}$' THEN (v #>> '{}')::bigint END
$$;
COMMENT ON FUNCTION json_int IS 'A whole number, also one written as text; else NULL';

-- Answers are found by message id near the call: ids repeat after a reboot. An answer that says
-- nothing ({}) is not stored unless events.results = all: no answer here.
CREATE VIEW csms_calls AS
SELECT c.charge_station_id, c.event_time, c.action, c.message_id, c.ocpp_version,
    c.payload AS request,
    a.kind AS answer,
    coalesce(a.payload ->> 'status', a.error_code) AS status,
    a.payload AS response,
    a.error_code,
    a.error_description,
    a.event_time AS answered_at,
    c.digest
FROM ocpp_events c
LEFT JOIN LATERAL (
    SELECT r.*
    FROM ocpp_events r
    WHERE r.charge_station_id = c.charge_station_id
      AND r.event_time BETWEEN c.event_time - interval '1 minute'
          AND c.event_time + interval '10 minutes'
      AND r.message_id = c.message_id
      AND r.direction = 'in'
      AND r.kind IN ('result', 'error')
      AND r.action IN (c.action, '')
    ORDER BY (r.event_time < c.event_time), abs(extract(epoch FROM r.event_time - c.event_time)),
        r.digest
    LIMIT 1
) a ON c.message_id <> ''
WHERE c.direction = 'out' AND c.kind = 'call';
COMMENT ON VIEW csms_calls IS 'Calls of the CSMS, each with the station''s answer: result or error, NULL = none seen';

CREATE VIEW boots AS
SELECT e.charge_station_id, e.event_time, e.ocpp_version,
    coalesce(s.v ->> 'vendorName', e.payload ->> 'chargePointVendor') AS vendor,
    coalesce(s.v ->> 'model', e.payload ->> 'chargePointModel') AS model,
    coalesce(s.v ->> 'serialNumber', e.payload ->> 'chargePointSerialNumber') AS serial_number,
    coalesce(s.v ->> 'firmwareVersion', e.payload ->> 'firmwareVersion') AS firmware_version,
    e.payload ->> 'reason' AS reason,
    e.received_at, e.digest
FROM ocpp_events e
CROSS JOIN LATERAL (SELECT e.payload -> 'chargingStation' AS v) s
WHERE e.action = 'BootNotification' AND e.kind = 'call';
COMMENT ON VIEW boots IS 'Every BootNotification; the newest of each station is in charge_station_status';

CREATE VIEW operations AS
SELECT e.charge_station_id, e.event_time, e.ocpp_version, e.action,
    CASE e.action WHEN 'DiagnosticsStatusNotification' THEN 'diagnostics'
        WHEN 'LogStatusNotification' THEN 'log'
        WHEN 'PublishFirmwareStatusNotification' THEN 'publish_firmware'
        ELSE 'firmware' END AS operation,
    e.payload ->> 'status' AS status,
    json_int(e.payload -> 'requestId') AS request_id,
    e.received_at, e.digest
FROM ocpp_events e
WHERE e.action IN ('FirmwareStatusNotification', 'SignedFirmwareStatusNotification',
        'PublishFirmwareStatusNotification', 'DiagnosticsStatusNotification',
        'LogStatusNotification')
  AND e.kind = 'call';
COMMENT ON VIEW operations IS 'The history behind operation_status';

CREATE VIEW security_events AS
SELECT e.charge_station_id, e.event_time, e.ocpp_version,
    e.payload ->> 'type' AS type,
    e.payload ->> 'techInfo' AS tech_info,
    e.time_text, e.received_at, e.digest
FROM ocpp_events e
WHERE e.action = 'SecurityEventNotification' AND e.kind = 'call';
COMMENT ON VIEW security_events IS 'SecurityEventNotification';

CREATE VIEW device_events AS
SELECT e.charge_station_id, e.event_time, e.ocpp_version,
    json_int(e.payload -> 'seqNo') AS seq_no,
    json_int(d.v -> 'eventId') AS event_id,
    d.v ->> 'timestamp' AS timestamp,
    d.v ->> 'trigger' AS trigger,
    d.v #>> '{component,name}' AS component,
    d.v #>> '{component,instance}' AS component_instance,
    json_int(d.v #> '{component,evse,id}') AS evse_id,
    json_int(d.v #> '{component,evse,connectorId}') AS connector_id,
    d.v #>> '{variable,name}' AS variable,
    d.v #>> '{variable,instance}' AS variable_instance,
    d.v ->> 'actualValue' AS actual_value,
    d.v ->> 'cleared' AS cleared,
    d.v ->> 'eventNotificationType' AS notification_type,
    json_int(d.v -> 'variableMonitoringId') AS variable_monitoring_id,
    d.v ->> 'transactionId' AS transaction_id,
    d.v ->> 'techCode' AS tech_code,
    d.v ->> 'techInfo' AS tech_info,
    e.received_at, e.digest
FROM ocpp_events e
CROSS JOIN LATERAL json_items(e.payload -> 'eventData') AS d (v)
WHERE e.action = 'NotifyEvent' AND e.kind = 'call';
COMMENT ON VIEW device_events IS '2.x: one row per eventData of NotifyEvent';

CREATE VIEW device_reports AS
SELECT e.charge_station_id, e.event_time, e.ocpp_version,
    json_int(e.payload -> 'requestId') AS request_id,
    json_int(e.payload -> 'seqNo') AS seq_no,
    d.v #>> '{component,name}' AS component,
    d.v #>> '{component,instance}' AS component_instance,
    json_int(d.v #> '{component,evse,id}') AS evse_id,
    json_int(d.v #> '{component,evse,connectorId}') AS connector_id,
    d.v #>> '{variable,name}' AS variable,
    d.v #>> '{variable,instance}' AS variable_instance,
    coalesce(a.v ->> 'type', 'Actual') AS attribute,
    a.v ->> 'value' AS value,
    coalesce(a.v ->> 'mutability', 'ReadWrite') AS mutability,
    d.v #>> '{variableCharacteristics,dataType}' AS data_type,
    d.v #>> '{variableCharacteristics,unit}' AS unit,
    d.v -> 'variableCharacteristics' AS characteristics,
    e.received_at, e.digest
FROM ocpp_events e
CROSS JOIN LATERAL json_items(e.payload -> 'reportData') AS d (v)
LEFT JOIN LATERAL json_items(d.v -> 'variableAttribute') AS a (v) ON true
WHERE e.action = 'NotifyReport' AND e.kind = 'call';
COMMENT ON VIEW device_reports IS '2.x: one row per attribute of a variable in NotifyReport';

CREATE VIEW monitoring_reports AS
SELECT e.charge_station_id, e.event_time, e.ocpp_version,
    json_int(e.payload -> 'requestId') AS request_id,
    json_int(e.payload -> 'seqNo') AS seq_no,
    d.v #>> '{component,name}' AS component,
    d.v #>> '{component,instance}' AS component_instance,
    json_int(d.v #> '{component,evse,id}') AS evse_id,
    d.v #>> '{variable,name}' AS variable,
    d.v #>> '{variable,instance}' AS variable_instance,
    json_int(m.v -> 'id') AS monitor_id,
    m.v ->> 'type' AS type,
    m.v ->> 'value' AS value,
    json_int(m.v -> 'severity') AS severity,
    m.v ->> 'transaction' AS transaction,
    e.received_at, e.digest
FROM ocpp_events e
CROSS JOIN LATERAL json_items(e.payload -> 'monitor') AS d (v)
LEFT JOIN LATERAL json_items(d.v -> 'variableMonitoring') AS m (v) ON true
WHERE e.action = 'NotifyMonitoringReport' AND e.kind = 'call';
COMMENT ON VIEW monitoring_reports IS '2.x: one row per monitor in NotifyMonitoringReport';

-- The newest that was accepted, per EVSE and connector.
CREATE VIEW availability AS
SELECT DISTINCT ON (c.charge_station_id, p.evse_id, p.connector_id)
    c.charge_station_id, p.evse_id, p.connector_id,
    coalesce(c.request ->> 'operationalStatus', c.request ->> 'type') AS asked_for,
    c.status, c.event_time AS asked_at, c.answered_at
FROM csms_calls c
CROSS JOIN LATERAL (
    SELECT coalesce(json_int(c.request #> '{evse,id}'), json_int(c.request -> 'connectorId'), 0)
            AS evse_id,
        coalesce(json_int(c.request #> '{evse,connectorId}'),
            json_int(c.request -> 'connectorId'), -1) AS connector_id
) p
WHERE c.action = 'ChangeAvailability' AND c.status IN ('Accepted', 'Scheduled')
ORDER BY c.charge_station_id, p.evse_id, p.connector_id, c.event_time DESC, c.digest DESC;
COMMENT ON VIEW availability IS 'Operative or Inoperative, as the last ChangeAvailability that a station took says, per EVSE (0 = the whole station) and connector (-1 = not stated); Scheduled = once the transaction is over';

CREATE VIEW reservations AS
SELECT DISTINCT ON (c.charge_station_id, p.id)
    c.charge_station_id,
    p.id AS reservation_id,
    coalesce(json_int(c.request -> 'evseId'), json_int(c.request -> 'connectorId')) AS evse_id,
    coalesce(c.request #>> '{idToken,idToken}', c.request ->> 'idTag') AS id_token,
    coalesce(c.request #>> '{groupIdToken,idToken}', c.request ->> 'parentIdTag')
        AS group_id_token,
    coalesce(c.request ->> 'expiryDateTime', c.request ->> 'expiryDate') AS expires,
    c.event_time AS asked_at,
    c.status AS answer,
    u.status AS became,
    u.at AS became_at,
    t.transaction_id AS used_by
FROM csms_calls c
CROSS JOIN LATERAL (
    SELECT coalesce(json_int(c.request -> 'id'), json_int(c.request -> 'reservationId')) AS id
) p
LEFT JOIN LATERAL (
    SELECT x.status, x.at
    FROM (
        SELECT n.payload ->> 'reservationUpdateStatus' AS status, n.event_time AS at
        FROM ocpp_events n
        WHERE n.action = 'ReservationStatusUpdate' AND n.kind = 'call'
          AND n.charge_station_id = c.charge_station_id
          AND n.event_time >= c.event_time
          AND json_int(n.payload -> 'reservationId') = p.id
        UNION ALL
        SELECT 'Cancelled', k.event_time
        FROM csms_calls k
        WHERE k.action = 'CancelReservation' AND k.status = 'Accepted'
          AND k.charge_station_id = c.charge_station_id
          AND k.event_time >= c.event_time
          AND json_int(k.request -> 'reservationId') = p.id
    ) x
    ORDER BY x.at DESC, x.status
    LIMIT 1
) u ON true
LEFT JOIN LATERAL (
    SELECT o.transaction_id
    FROM transactions o
    WHERE o.charge_station_id = c.charge_station_id
      AND o.partition_time >= c.event_time - interval '1 day'
      AND o.reservation_id = p.id
    ORDER BY o.partition_time, o.transaction_id
    LIMIT 1
) t ON true
WHERE c.action = 'ReserveNow'
ORDER BY c.charge_station_id, p.id, c.event_time DESC, c.digest DESC;
COMMENT ON VIEW reservations IS 'The newest ReserveNow of each station and reservation id: the station''s answer, what became of it (Cancelled, Expired, Removed), the transaction that used it';

CREATE VIEW charging_profiles AS
SELECT c.charge_station_id, c.event_time, c.ocpp_version, c.action,
    c.status,
    coalesce(json_int(c.request -> 'evseId'), json_int(c.request -> 'connectorId')) AS evse_id,
    coalesce(json_int(p.v -> 'chargingProfileId'), json_int(p.v -> 'id'),
        json_int(c.request -> 'chargingProfileId'), json_int(c.request -> 'id')) AS profile_id,
    coalesce(p.v ->> 'chargingProfilePurpose',
        c.request #>> '{chargingProfileCriteria,chargingProfilePurpose}',
        c.request ->> 'chargingProfilePurpose') AS purpose,
    p.v ->> 'chargingProfileKind' AS kind,
    coalesce(json_int(p.v -> 'stackLevel'),
        json_int(c.request #> '{chargingProfileCriteria,stackLevel}'),
        json_int(c.request -> 'stackLevel')) AS stack_level,
    p.v ->> 'transactionId' AS transaction_id,
    p.v ->> 'validFrom' AS valid_from,
    p.v ->> 'validTo' AS valid_to,
    p.v -> 'chargingSchedule' AS schedule,
    NULL::bigint AS request_id
FROM csms_calls c
CROSS JOIN LATERAL (
    SELECT coalesce(c.request -> 'csChargingProfiles', c.request -> 'chargingProfile') AS v
) p
WHERE c.action IN ('SetChargingProfile', 'ClearChargingProfile')
UNION ALL
SELECT e.charge_station_id, e.event_time, e.ocpp_version, e.action,
    NULL,
    json_int(e.payload -> 'evseId'),
    json_int(p.v -> 'id'),
    p.v ->> 'chargingProfilePurpose',
    p.v ->> 'chargingProfileKind',
    json_int(p.v -> 'stackLevel'),
    p.v ->> 'transactionId',
    p.v ->> 'validFrom',
    p.v ->> 'validTo',
    p.v -> 'chargingSchedule',
    json_int(e.payload -> 'requestId')
FROM ocpp_events e
CROSS JOIN LATERAL json_items(e.payload -> 'chargingProfile') AS p (v)
WHERE e.action = 'ReportChargingProfiles' AND e.kind = 'call';
COMMENT ON VIEW charging_profiles IS 'Charging profiles as set and cleared (with the station''s answer) and as stations report them';

SELECT grant_table(v) FROM unnest(ARRAY['csms_calls', 'boots', 'operations', 'security_events',
    'device_events', 'device_reports', 'monitoring_reports', 'availability', 'reservations',
    'charging_profiles']) v;
