-- A station sends an event again, under another message id, until it gets an answer. The event is
-- stored once, with the id that came first; answers to the others are no answers without a call.

ALTER TABLE transaction_events ADD COLUMN resent_as text[];
COMMENT ON COLUMN transaction_events.resent_as IS 'Other message ids that the same event was sent with; NULL = none';

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
