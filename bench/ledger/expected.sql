-- What the ledger says must be there: one row per fact, with a key that finds it and its content.
-- A fact of a message that was acknowledged, in whatever copy, must be there; one that was not may.
-- An answer as an OCPP-J array does not say its action: the ledger knows it.
CREATE TEMPORARY TABLE acknowledged AS
SELECT DISTINCT n
FROM (
    SELECT jsonb_array_elements(line -> 'a') AS item FROM ledger WHERE line ? 'a'
) a
CROSS JOIN LATERAL generate_series(
    CASE jsonb_typeof(a.item) WHEN 'array' THEN (a.item ->> 0)::bigint ELSE (a.item #>> '{}')::bigint END,
    CASE jsonb_typeof(a.item) WHEN 'array' THEN (a.item ->> 1)::bigint ELSE (a.item #>> '{}')::bigint END
) AS n;

CREATE TEMPORARY TABLE messages AS
SELECT (l.line ->> 'm')::bigint AS m, (l.line ->> 'dup_of')::bigint AS dup_of,
    regexp_replace(l.line ->> 'topic', '^.*/', '') AS station, l.line ->> 'kind' AS kind,
    l.line ->> 'action' AS action, l.line ->> 'id' AS id, a.n IS NOT NULL AS acknowledged
FROM ledger l LEFT JOIN acknowledged a ON a.n = (l.line ->> 'm')::bigint
WHERE l.line ? 'm';
CREATE UNIQUE INDEX ON messages (m);
ANALYZE messages;

-- Facts that must be there: a copy or a station's retry states the same fact as its original.
CREATE TEMPORARY TABLE kept AS
SELECT DISTINCT unnest(ARRAY[m, dup_of]) AS n FROM messages WHERE acknowledged;
CREATE INDEX ON kept (n);
ANALYZE kept;

-- Messages that must have come under this very id: a copy has it too, a retry has another.
CREATE TEMPORARY TABLE arrived AS
SELECT DISTINCT station, kind, id FROM messages WHERE acknowledged;
CREATE INDEX ON arrived (station, id, kind);
ANALYZE arrived;

CREATE TEMPORARY TABLE facts AS
SELECT x.m, x.station, x.id, x.action, k.n IS NOT NULL AS must, f.fact
FROM ledger l
JOIN messages x ON x.m = (l.line ->> 'm')::bigint
CROSS JOIN LATERAL jsonb_array_elements(l.line -> 'facts') AS f (fact)
LEFT JOIN kept k ON k.n = x.m
WHERE l.line ? 'facts'
UNION ALL
SELECT NULL, NULL, NULL, NULL, NOT EXISTS (
    SELECT FROM jsonb_array_elements_text(l.line -> 'needs') n
    WHERE NOT EXISTS (SELECT FROM messages x JOIN arrived USING (station, kind, id)
        WHERE x.m = n::bigint)), l.line - 'needs'
FROM ledger l
WHERE l.line ? 't';

-- What an answer says is kept with its own call. Without that call there is nothing to say it of: a
-- station's retry has an answer of its own, which the original does not pair with.
UPDATE facts r SET must = false
WHERE r.fact ->> 't' IN ('authorization_results', 'transaction_starts') AND NOT EXISTS (
    SELECT FROM arrived c WHERE c.station = r.station AND c.kind = 'call' AND c.id = r.id);

CREATE TEMPORARY TABLE ledger_stations AS
SELECT DISTINCT fact ->> 'station' AS station FROM facts;
ANALYZE ledger_stations;

CREATE TEMPORARY TABLE expected AS
SELECT f.m, f.must, f.fact ->> 't' AS kind,
    CASE f.fact ->> 't'
        WHEN 'meter_values' THEN concat_ws('|', f.fact ->> 'station', (f.fact ->> 'time')::timestamptz,
            f.fact ->> 'evse', f.fact ->> 'source', f.fact ->> 'transaction', f.fact ->> 'seq')
        WHEN 'transaction_events' THEN concat_ws('|', f.fact ->> 'station',
            (f.fact ->> 'time')::timestamptz, f.fact ->> 'evse', f.fact ->> 'event',
            f.fact ->> 'transaction', f.fact ->> 'seq')
        WHEN 'authorizations' THEN concat_ws('|', f.fact ->> 'station', f.fact ->> 'message_id')
        WHEN 'authorization_results' THEN concat_ws('|', f.fact ->> 'station', f.fact ->> 'message_id')
        WHEN 'transaction_starts' THEN concat_ws('|', f.fact ->> 'station',
            (f.fact ->> 'time')::timestamptz, f.fact ->> 'evse', f.fact ->> 'transaction')
        WHEN 'ocpp_events' THEN concat_ws('|', f.fact ->> 'station', f.fact ->> 'direction',
            f.fact ->> 'kind', coalesce(f.fact ->> 'action', f.action),
            CASE WHEN f.fact ? 'time' THEN (f.fact ->> 'time')::timestamptz::text
                ELSE f.fact ->> 'message_id' END,
            CASE WHEN f.fact ? 'time' THEN f.fact ->> 'evse' END,
            CASE WHEN f.fact ? 'time' THEN f.fact ->> 'connector' END)
        WHEN 'transactions' THEN concat_ws('|', f.fact ->> 'station', f.fact ->> 'transaction')
    END AS key,
    CASE f.fact ->> 't'
        WHEN 'meter_values' THEN jsonb_strip_nulls(jsonb_build_object(
            'connector', f.fact -> 'connector', 'samples', f.fact -> 'samples'))
        WHEN 'transaction_events' THEN jsonb_strip_nulls(f.fact - '{t,station,time,evse,event,transaction,seq}'::text[])
        WHEN 'authorizations' THEN jsonb_strip_nulls(f.fact - '{t,station,message_id}'::text[])
        WHEN 'authorization_results' THEN jsonb_strip_nulls(jsonb_build_object(
            'status', f.fact -> 'status', 'group', f.fact -> 'group'))
        WHEN 'transaction_starts' THEN jsonb_strip_nulls(jsonb_build_object(
            'status', f.fact -> 'status', 'group', f.fact -> 'group'))
        WHEN 'ocpp_events' THEN jsonb_strip_nulls(jsonb_build_object(
            'payload', CASE WHEN f.fact ->> 'kind' <> 'error' OR f.fact -> 'payload' <> '{}'
                THEN f.fact -> 'payload' END,
            'request', f.fact -> 'request', 'error_code', f.fact -> 'error_code',
            'error_description', f.fact -> 'error_description'))
        WHEN 'transactions' THEN jsonb_strip_nulls(jsonb_build_object(
            'evse', f.fact -> 'evse', 'token', f.fact -> 'token',
            'started', (f.fact ->> 'started')::timestamptz, 'stopped', (f.fact ->> 'stopped')::timestamptz,
            'meter_start', trim_scale((f.fact ->> 'meter_start')::numeric),
            'meter_stop', trim_scale((f.fact ->> 'meter_stop')::numeric), 'reason', f.fact -> 'reason'))
    END AS content
FROM facts f
