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
COMMENT ON VIEW csms_calls IS 'Calls of the CSMS, each with the station''s answer: result or error, NULL = none seen';
DROP INDEX ocpp_events_exchanges;

CREATE OR REPLACE FUNCTION json_items(v jsonb) RETURNS SETOF jsonb
LANGUAGE sql IMMUTABLE ROWS 10 AS $$
    SELECT jsonb_array_elements(CASE jsonb_typeof(v) WHEN 'array' THEN v ELSE '[]' END)
$$;
COMMENT ON FUNCTION json_items IS 'The elements of an array; none if it is no array';

COMMENT ON COLUMN charge_station_settings.settings IS 'By key: {"HeartbeatInterval": {"Value", "Status", "SendAfter", "LastUpdated"}}; merged key by key, each with a time of its own';
DROP FUNCTION setting_after, merged_setting;
