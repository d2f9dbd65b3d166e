-- What is there, of the stations that the ledger names, in the same form.
CREATE TEMPORARY TABLE known_actions AS
SELECT station, kind, id, min(action) AS action FROM messages GROUP BY 1, 2, 3;
CREATE INDEX ON known_actions (station, id, kind);
ANALYZE known_actions;

CREATE TEMPORARY TABLE stored AS
SELECT 'meter_values' AS kind,
    concat_ws('|', v.charge_station_id, v.event_time, v.evse_id,
        CASE v.source WHEN 'M' THEN 'MeterValues' WHEN 'E' THEN 'TransactionEvent'
            ELSE 'StopTransaction' END, v.transaction_id, v.seq_no) AS key,
    jsonb_strip_nulls(jsonb_build_object('connector', v.connector_id, 'samples', (
        SELECT jsonb_agg(jsonb_build_object('measurand', p.measurand, 'phase', p.phase,
            'context', p.context, 'location', p.location, 'unit', p.unit,
            'multiplier', p.multiplier,
            'value', coalesce(v.raw #>> ARRAY['text', p.n::text], p.value::text)) ORDER BY p.n)
        FROM unnest(v.sampled, l.measurand, l.phase, l.context, l.location, l.unit, l.multiplier)
            WITH ORDINALITY AS p (value, measurand, phase, context, location, unit, multiplier, n)
    ))) AS content
FROM ledger_stations s
JOIN meter_values v ON v.charge_station_id = s.station
LEFT JOIN meter_value_layouts l ON l.layout_id = v.layout_id
UNION ALL
SELECT 'transaction_events',
    concat_ws('|', e.charge_station_id, e.event_time, e.evse_id, e.event_type, e.transaction_id, e.seq_no),
    jsonb_strip_nulls(jsonb_build_object('connector', e.connector_id, 'trigger', e.trigger_reason,
        'state', e.charging_state, 'token', e.id_token, 'token_type', e.id_token_type,
        'meter_start', e.meter_start::text, 'meter_stop', e.meter_stop::text,
        'reason', e.stopped_reason, 'offline', e.offline, 'reservation_id', e.reservation_id,
        'remote_start_id', e.remote_start_id, 'number_of_phases_used', e.number_of_phases_used,
        'time_spent_charging', e.time_spent_charging,
        'cable_max_current', e.cable_max_current::text))
FROM ledger_stations s JOIN transaction_events e ON e.charge_station_id = s.station
UNION ALL
SELECT 'authorizations', concat_ws('|', a.charge_station_id, a.message_id),
    jsonb_strip_nulls(jsonb_build_object('token', a.id_token, 'token_type', a.id_token_type))
FROM ledger_stations s JOIN authorizations a ON a.charge_station_id = s.station
UNION ALL
SELECT 'authorization_results', concat_ws('|', a.charge_station_id, a.message_id),
    jsonb_strip_nulls(jsonb_build_object('status', a.status, 'group', a.group_id_token))
FROM ledger_stations s JOIN authorizations a ON a.charge_station_id = s.station
WHERE a.status IS NOT NULL
UNION ALL
SELECT 'transaction_starts',
    concat_ws('|', t.charge_station_id, t.event_time, t.evse_id, t.transaction_id),
    jsonb_strip_nulls(jsonb_build_object('status', t.id_token_status, 'group', t.group_id_token))
FROM ledger_stations s JOIN transaction_starts t ON t.charge_station_id = s.station
UNION ALL
SELECT 'ocpp_events',
    concat_ws('|', e.charge_station_id, e.direction, e.kind, coalesce(nullif(e.action, ''), k.action),
        CASE WHEN e.time_source = 's' THEN e.event_time::text ELSE e.message_id END,
        CASE WHEN e.time_source = 's' THEN nullif(e.evse_id, -1) END,
        CASE WHEN e.time_source = 's' THEN e.connector_id END),
    jsonb_strip_nulls(jsonb_build_object(
        -- Absent details of an error and empty ones say the same.
        'payload', CASE WHEN e.kind <> 'error' OR e.payload <> '{}' THEN e.payload END,
        'request', e.request,
        'error_code', e.error_code, 'error_description', e.error_description))
FROM ledger_stations s JOIN ocpp_events e ON e.charge_station_id = s.station
LEFT JOIN known_actions k
    ON k.station = e.charge_station_id AND k.kind = e.kind AND k.id = e.message_id AND e.action = ''
-- What results of Authorize and StartTransaction say is checked where it went.
WHERE NOT (e.kind = 'result'
    AND coalesce(nullif(e.action, ''), k.action, '') IN ('Authorize', 'StartTransaction'))
UNION ALL
SELECT 'transactions', concat_ws('|', t.charge_station_id, t.transaction_id),
    jsonb_strip_nulls(jsonb_build_object('evse', t.evse_id, 'token', t.id_token,
        'started', t.started_at, 'stopped', t.stopped_at, 'meter_start', trim_scale(t.meter_start),
        'meter_stop', trim_scale(t.meter_stop), 'reason', t.stopped_reason))
FROM ledger_stations s JOIN transactions t ON t.charge_station_id = s.station
