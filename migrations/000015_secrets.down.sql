-- Everything as it was: readers see secrets again.

CREATE OR REPLACE VIEW csms_calls AS
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
      AND r.event_time BETWEEN c.received_at - interval '1 minute'
          AND c.received_at + interval '10 minutes'
      AND r.message_id = c.message_id
      AND r.direction = 'in'
      AND r.kind IN ('result', 'error')
      AND r.action IN (c.action, '')
    ORDER BY (r.event_time < c.received_at),
        abs(extract(epoch FROM r.event_time - c.received_at)), r.digest
    LIMIT 1
) a ON c.message_id <> ''
WHERE c.direction = 'out' AND c.kind = 'call';

CREATE OR REPLACE VIEW security_events AS
SELECT e.charge_station_id, e.event_time, e.ocpp_version,
    e.payload ->> 'type' AS type,
    e.payload ->> 'techInfo' AS tech_info,
    e.time_text, e.received_at, e.digest
FROM ocpp_events e
WHERE e.action = 'SecurityEventNotification' AND e.kind = 'call';

CREATE OR REPLACE VIEW device_events AS
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

CREATE OR REPLACE VIEW device_reports AS
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

CREATE OR REPLACE VIEW monitoring_reports AS
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

CREATE OR REPLACE VIEW charging_profiles AS
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

CREATE OR REPLACE VIEW event_streams AS
SELECT e.charge_station_id, e.event_time, e.ocpp_version,
    json_int(e.payload -> 'id') AS stream_id,
    d.v ->> 'v' AS value,
    d.v ->> 't' AS seconds,
    CASE WHEN d.v ->> 't' ~ '^-?[0-9]{1,9}(\.[0-9]{1,9})?$'
        THEN e.event_time + (d.v ->> 't')::numeric * interval '1 second' END AS measured_at,
    json_int(e.payload -> 'pending') AS pending,
    e.received_at, e.digest
FROM ocpp_events e
CROSS JOIN LATERAL json_items(e.payload -> 'data') AS d (v)
WHERE e.action = 'NotifyPeriodicEventStream' AND e.kind IN ('send', 'call');

CREATE OR REPLACE VIEW refused_results AS
SELECT e.charge_station_id, e.event_time, e.ocpp_version,
    CASE e.direction WHEN 'in' THEN 'station' ELSE 'csms' END AS refused_by,
    coalesce(nullif(e.action, ''), nullif(r.action, ''), c.action) AS action,
    e.message_id, e.error_code, e.error_description,
    e.payload AS details,
    r.payload AS result,
    coalesce(c.payload, r.request) AS request,
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

DROP VIEW ocpp_events_masked, charge_station_settings_masked, dead_letters_masked;
DROP FUNCTION words_to_mask(regclass, text);
DROP FUNCTION mask_error(text, text, text, text);
DROP FUNCTION mask_answer(jsonb, text, text, text);
DROP FUNCTION error_may_quote(text, text);
DROP FUNCTION mask_secrets(jsonb, text);
DROP FUNCTION mask_value(jsonb, text, integer, text);
DROP FUNCTION mask_text(text, text);
DROP FUNCTION secret_words();
DROP TABLE secret_keys;

DO $migration$
BEGIN
    EXECUTE replace(replace($sql$
CREATE OR REPLACE FUNCTION @.secret_columns(name text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT '{}'::text[] $$
$sql$, '@.', quote_ident(current_schema()) || '.'), '{schema}', '');
    PERFORM grant_readers();
    EXECUTE replace(replace($sql$
CREATE OR REPLACE FUNCTION @.grant_partition(name text, parent text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s.%I TO ocpp_writer', '{schema}', name);
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_reader') THEN
        EXECUTE format('GRANT SELECT ON %s.%I TO ocpp_reader', '{schema}', name);
    END IF;
END $$
$sql$, '@.', quote_ident(current_schema()) || '.'), '{schema}',
        replace(quote_ident(current_schema()), '''', ''''''));
    ALTER FUNCTION grant_partition(text, text) SET search_path = pg_catalog, pg_temp;
END $migration$;
DROP FUNCTION grant_readers();
DROP FUNCTION secret_columns(text);
