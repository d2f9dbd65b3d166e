-- What a station answers: only a change that it accepted sets a value; an answer may come late; and
-- one object may stand where OCPP has a list.

CREATE FUNCTION setting_after(entry jsonb, deleted_at timestamptz) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN deleted_at IS NULL
            OR coalesce(entry ->> 'ValueAt', entry ->> 'LastUpdated')::timestamptz > deleted_at
        THEN entry
        WHEN (entry ->> 'LastUpdated')::timestamptz > deleted_at
        THEN entry - 'Value' - 'ValueAt' END
$$;
COMMENT ON FUNCTION setting_after IS 'What is left of one of charge_station_settings.settings after a delete; NULL = nothing';

CREATE FUNCTION merged_setting(a jsonb, b jsonb) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN a IS NULL OR b IS NULL THEN coalesce(a, b) ELSE (
        SELECT (s.entry - 'Value' - 'ValueAt')
            || CASE WHEN v.entry IS NULL THEN '{}'
                ELSE jsonb_build_object('Value', v.entry -> 'Value')
                    || CASE WHEN v.at = s.entry ->> 'LastUpdated' THEN '{}'
                        ELSE jsonb_build_object('ValueAt', v.at) END END
        FROM (
            SELECT x.entry
            FROM (VALUES (a), (b)) x (entry)
            ORDER BY (x.entry ->> 'LastUpdated')::timestamptz DESC,
                (CASE WHEN x.entry ? 'ValueAt' THEN x.entry - 'Value' - 'ValueAt'
                    ELSE x.entry END)::text COLLATE "C" DESC
            LIMIT 1
        ) s
        LEFT JOIN (
            SELECT x.entry, coalesce(x.entry ->> 'ValueAt', x.entry ->> 'LastUpdated') AS at
            FROM (VALUES (a), (b)) x (entry)
            WHERE x.entry ? 'Value'
            ORDER BY coalesce(x.entry ->> 'ValueAt', x.entry ->> 'LastUpdated')::timestamptz DESC,
                (x.entry -> 'Value')::text COLLATE "C" DESC
            LIMIT 1
        ) v ON true) END
$$;
COMMENT ON FUNCTION merged_setting IS 'Of two entries of charge_station_settings.settings for one key: the status that was said last, and the value that was';
COMMENT ON COLUMN charge_station_settings.settings IS 'By key: {"HeartbeatInterval": {"Value", "Status", "SendAfter", "LastUpdated"}}; merged key by key, each with a time of its own. Value: the last that was told, or that the station accepted or reported; absent while none is known. ValueAt: when, if something was said of the key since (a change that the station refused sets no value).';

CREATE OR REPLACE FUNCTION json_items(v jsonb) RETURNS SETOF jsonb
LANGUAGE sql IMMUTABLE ROWS 10 AS $$
    SELECT jsonb_array_elements(CASE jsonb_typeof(v) WHEN 'array' THEN v
        WHEN 'object' THEN jsonb_build_array(v) ELSE '[]' END)
$$;
COMMENT ON FUNCTION json_items IS 'The elements of an array; an object is an array of one; none if it is neither';

-- Calls to stations and what comes back are few beside what stations say by themselves.
CREATE INDEX ocpp_events_exchanges ON ocpp_events (charge_station_id, message_id, event_time)
    WHERE (direction = 'in' AND kind IN ('result', 'error')) OR (direction = 'out' AND kind = 'call');

-- An answer is the nearest one, as before. If there is none within 10 minutes, a later one is the
-- answer if no other call or answer has its message id within 7 days (pairing.keep) of the two. An
-- answer that says nothing ({}) is not stored unless events.results = all: no answer here.
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
