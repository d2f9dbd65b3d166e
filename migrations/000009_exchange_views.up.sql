-- More of what ocpp_events holds, by its fields. As in the views before: none may fail on any payload.

-- Hardly any message is one of these: the index costs next to nothing.
CREATE INDEX ocpp_events_result_errors ON ocpp_events (charge_station_id, event_time)
    WHERE kind = 'result_error';

-- A CALLRESULTERROR has the message id of the result that it refuses, which came from the other
-- side, and of the call which that answered, from its own side. It names no action itself.
CREATE VIEW refused_results AS
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
COMMENT ON VIEW refused_results IS '2.1: results that the other side could not use (CALLRESULTERROR), with the result and its call as far as they are in ocpp_events';

CREATE VIEW event_streams AS
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
COMMENT ON VIEW event_streams IS '2.1: one row per value in NotifyPeriodicEventStream; measured_at is so many seconds after its basetime';

CREATE VIEW local_lists AS
SELECT c.charge_station_id, c.event_time, c.ocpp_version, c.action, c.status,
    coalesce(json_int(a.v -> 'versionNumber'), json_int(a.v -> 'listVersion')) AS list_version,
    CASE c.action WHEN 'SendLocalList' THEN c.request ->> 'updateType' END AS update_type,
    CASE c.action WHEN 'SendLocalList' THEN
        (SELECT count(*) FROM json_items(c.request -> 'localAuthorizationList')) END AS entries,
    c.answered_at, c.digest
FROM csms_calls c
CROSS JOIN LATERAL (
    SELECT CASE c.action WHEN 'SendLocalList' THEN c.request ELSE c.response END AS v
) a
WHERE c.action IN ('SendLocalList', 'GetLocalListVersion');
COMMENT ON VIEW local_lists IS 'Lists of tokens as sent to stations, with their answers, and the versions that stations say they have';

CREATE VIEW local_list_entries AS
SELECT c.charge_station_id, c.event_time, c.ocpp_version,
    coalesce(json_int(c.request -> 'versionNumber'), json_int(c.request -> 'listVersion'))
        AS list_version,
    c.request ->> 'updateType' AS update_type,
    c.status AS answer,
    coalesce(t.v #>> '{idToken,idToken}', t.v ->> 'idTag') AS id_token,
    t.v #>> '{idToken,type}' AS id_token_type,
    i.v ->> 'status' AS status,
    coalesce(i.v #>> '{groupIdToken,idToken}', i.v ->> 'parentIdTag') AS group_id_token,
    coalesce(i.v ->> 'cacheExpiryDateTime', i.v ->> 'expiryDate') AS expires,
    c.digest
FROM csms_calls c
CROSS JOIN LATERAL json_items(c.request -> 'localAuthorizationList') AS t (v)
CROSS JOIN LATERAL (SELECT coalesce(t.v -> 'idTokenInfo', t.v -> 'idTagInfo') AS v) i
WHERE c.action = 'SendLocalList';
COMMENT ON VIEW local_list_entries IS 'One row per token in SendLocalList; without a status it is to be removed from the list';

SELECT grant_table(v) FROM unnest(ARRAY['refused_results', 'event_streams', 'local_lists',
    'local_list_entries']) v;
