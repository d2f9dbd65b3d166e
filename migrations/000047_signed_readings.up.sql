-- Signed readings: what the meter signed, for whoever has to show that a bill is right. Signatures are
-- verified by `ocpp-persister signatures check`; these views show what needs no keys.

-- A member of the object SignedMeterValueType, which in OCPP 1.6 is a text in a value. Only what is
-- certain to be a JSON string, and one that can be stored, is read as one.
CREATE FUNCTION signed_member(signed text, name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN t.token ~ '^([^"\\[:cntrl:]]|\\(["\\/bfnrt]|u(?!0000|[dD][89a-fA-F])[0-9a-fA-F]{4}))*$'
        THEN ('"' || t.token || '"')::jsonb #>> '{}' END
    FROM (
        SELECT substring(signed FROM '"' || name || '"\s*:\s*"((?:[^"\\]|\\.)*)"') AS token
    ) t
$$;
COMMENT ON FUNCTION signed_member IS 'signedMeterData, publicKey, ...: a member of a signed reading that is an object of OCPP 2.x; NULL if it has none';

-- Readers see of an object what OCPP knows, whatever else a station puts into it.
CREATE FUNCTION signed_object(sent text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN ltrim(sent, E' \t\r\n') LIKE '{%' THEN jsonb_strip_nulls(jsonb_build_object(
        'signedMeterData', coalesce(signed_member(sent, 'signedMeterData'),
            signed_member(sent, 'signedMeterValue')),
        'encodingMethod', signed_member(sent, 'encodingMethod'),
        'signingMethod', signed_member(sent, 'signingMethod'),
        'publicKey', signed_member(sent, 'publicKey')))::text ELSE sent END
$$;
COMMENT ON FUNCTION signed_object IS 'A signed reading as it was sent; of an object of OCPP 2.x its four members alone';

-- Only what decode() cannot refuse is given to it.
CREATE FUNCTION signed_text(signed text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN d.data ~ '^(OCMF[|]|AP;|<)' THEN d.data
        WHEN d.packed ~ '^([0-9A-Fa-f]{2})+$' THEN encode(decode(d.packed, 'hex'), 'escape')
        WHEN d.packed ~ '^[A-Za-z0-9+/]+$' AND length(d.packed) % 4 <> 1
            THEN encode(decode(rpad(d.packed, (length(d.packed) + 3) / 4 * 4, '='), 'base64'), 'escape')
        ELSE d.data
    END
    FROM (
        SELECT b.data, rtrim(translate(b.data, E'-_ \t\r\n', '+/'), '=') AS packed
        FROM (
            SELECT btrim(CASE WHEN ltrim(signed) LIKE '{%'
                THEN coalesce(signed_member(signed, 'signedMeterData'),
                    signed_member(signed, 'signedMeterValue'))
                ELSE signed END, E' \t\r\n') AS data
        ) b
    ) d
$$;
COMMENT ON FUNCTION signed_text IS 'The signed data of a reading, decoded from hexadecimal or base64; bytes other than text are written \ooo';

CREATE FUNCTION signed_format(signed_text text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN signed_text LIKE 'OCMF|%' THEN 'OCMF'
        WHEN signed_text LIKE 'AP;%' THEN 'Alfen'
        WHEN signed_text LIKE E'\x1b\x1b\x1b\x1b%' THEN 'SML'
        WHEN signed_text ~ '^(<[?]xml|<values)' THEN 'XML' END
$$;
COMMENT ON FUNCTION signed_format IS 'OCMF, Alfen, SML or XML, by the first bytes; NULL = another format';

-- How exact a reading is depends on the unit it was sent in, which a number in Wh no longer says.
CREATE FUNCTION register_as_sent(value_text text, unit text, multiplier integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT n.part[1] || 'e' || (coalesce(n.part[2]::integer, 0) + coalesce(multiplier, 0)
        + CASE lower(unit) WHEN 'kwh' THEN 3 WHEN 'mwh' THEN 6 ELSE 0 END)
    FROM regexp_match(value_text, '^(-?[0-9]{1,60}(?:[.][0-9]{1,60})?)(?:[eE]([+-]?[0-9]{1,3}))?$') AS n (part)
    WHERE n.part IS NOT NULL AND lower(coalesce(unit, 'wh')) IN ('wh', 'kwh', 'mwh')
$$;
COMMENT ON FUNCTION register_as_sent IS 'A reading in Wh with the digits it was sent with: 1.50 kWh is 1.50e3';

CREATE VIEW signed_readings AS
SELECT
    v.charge_station_id,
    v.event_time,
    v.evse_id,
    v.connector_id,
    v.transaction_id,
    m.source,
    s.position,
    m.measurand,
    m.context,
    coalesce(plain.value, beside.value) AS register_wh,
    coalesce(plain.as_sent, beside.as_sent) AS register_as_sent,
    o.signed,
    t.signed_text,
    signed_format(t.signed_text) AS format,
    signed_member(o.signed, 'encodingMethod') AS encoding_method,
    signed_member(o.signed, 'signingMethod') AS signing_method,
    nullif(signed_member(o.signed, 'publicKey'), '') AS public_key,
    v.received_at,
    v.digest
FROM meter_values v
LEFT JOIN meter_value_layouts l ON l.layout_id = v.layout_id
CROSS JOIN LATERAL (
    SELECT CASE WHEN p.key ~ '^[0-9]{1,9}$' THEN p.key::integer END AS position, CASE jsonb_typeof(p.value) WHEN 'string' THEN p.value #>> '{}'
        ELSE p.value::text END AS signed
    FROM jsonb_each(CASE jsonb_typeof(v.raw -> 'signed') WHEN 'object' THEN v.raw -> 'signed' END) p
    UNION ALL
    SELECT p.position::integer,
        coalesce(v.raw #>> ARRAY['text', p.position::text], v.sampled[p.position]::text)
    FROM unnest(l.format) WITH ORDINALITY AS p (format, position)
    WHERE v.layout_id <> 0 AND lower(p.format) = 'signeddata'
    UNION ALL
    SELECT p.position::integer, CASE jsonb_typeof(p.sample -> 'signedMeterValue')
        WHEN 'object' THEN (p.sample -> 'signedMeterValue')::text
        WHEN 'string' THEN p.sample ->> 'signedMeterValue'
        ELSE p.sample ->> 'value' END
    FROM jsonb_array_elements(CASE WHEN v.layout_id = 0
            AND jsonb_typeof(v.raw -> 'samples') = 'array' THEN v.raw -> 'samples' END)
        WITH ORDINALITY AS p (sample, position)
    WHERE lower(p.sample ->> 'format') = 'signeddata'
        OR jsonb_typeof(p.sample -> 'signedMeterValue') IN ('object', 'string')
) s
CROSS JOIN LATERAL (SELECT signed_object(s.signed) AS signed) o
CROSS JOIN LATERAL (SELECT signed_text(o.signed) AS signed_text) t
JOIN LATERAL (
    SELECT x.*
    FROM meter_samples x
    WHERE x.charge_station_id = v.charge_station_id AND x.event_time = v.event_time
      AND x.evse_id = v.evse_id AND x.digest = v.digest AND x.position = s.position
    OFFSET 0 -- never joined other than by the key
) m ON true
LEFT JOIN LATERAL (
    SELECT m.value, register_as_sent(m.value_text, m.stated_unit, m.stated_multiplier) AS as_sent
    WHERE m.measurand = 'Energy.Active.Import.Register' AND m.phase IS NULL AND m.value IS NOT NULL
) plain ON true
LEFT JOIN LATERAL (
    SELECT x.value, register_as_sent(x.value_text, x.stated_unit, x.stated_multiplier) AS as_sent
    FROM meter_samples x
    WHERE x.charge_station_id = v.charge_station_id AND x.event_time = v.event_time
      AND x.evse_id = v.evse_id AND x.digest = v.digest AND x.context = m.context
      AND x.measurand = 'Energy.Active.Import.Register' AND x.phase IS NULL AND x.value IS NOT NULL
    ORDER BY x.position
    LIMIT 1
) beside ON plain.value IS NULL
    AND (m.measurand IS NULL OR m.measurand = 'Energy.Active.Import.Register')
WHERE s.signed <> '' AND (v.raw ? 'signed' OR v.flags & 16384 <> 0 OR v.layout_id = 0);
COMMENT ON VIEW signed_readings IS 'One row per signed reading, as it was sent and decoded, beside the same reading without a signature. Filter by station and event_time.';
SELECT grant_table('signed_readings');

-- Between which times to look for the readings of a session: without an end, until the next one
-- begins there, or a month. A time that is not known, or not valid, is replaced by the nearest that is.
CREATE FUNCTION session_times(station text, evse integer, started_at timestamptz,
    first_event_at timestamptz, stopped_at timestamptz, last_event_at timestamptz,
    partition_time timestamptz, OUT since timestamptz, OUT until timestamptz)
LANGUAGE sql STABLE SET jit = off AS $$
    SELECT b.since, greatest(b.since, CASE WHEN isfinite(stopped_at) THEN stopped_at
        ELSE least(b.since + interval '31 days', greatest(now(), b.last), (
            -- Before what signed_readings_of() takes for the next one's.
            SELECT min(n.partition_time) - interval '20 s'
            FROM transactions n
            WHERE n.charge_station_id = station AND n.evse_id = evse
              AND n.partition_time > b.since AND n.partition_time < b.since + interval '31 days')) END)
    FROM (
        SELECT CASE WHEN isfinite(started_at) THEN started_at
                WHEN isfinite(first_event_at) THEN first_event_at
                WHEN isfinite(stopped_at) THEN stopped_at ELSE partition_time END AS since,
            CASE WHEN isfinite(last_event_at) THEN last_event_at END AS last
    ) b
$$;
COMMENT ON FUNCTION session_times IS 'The time that the readings of a session are from';

-- As in other views: what names the transaction, or what was measured at its EVSE while it lasted. The
-- id of a transaction says more than the clock of a meter, as long as it was used once.
CREATE FUNCTION signed_readings_of(station text, transaction text, start_key text, evse integer,
    since timestamptz, until timestamptz)
RETURNS SETOF signed_readings
LANGUAGE sql STABLE ROWS 2 SET jit = off AS $$
    SELECT r.*
    FROM signed_readings r
    WHERE r.charge_station_id = station
      AND r.event_time >= since - CASE start_key WHEN '' THEN interval '1 day' ELSE interval '10 s' END
      AND r.event_time <= until + CASE start_key WHEN '' THEN interval '1 day' ELSE interval '10 s' END
      AND isfinite(since) AND isfinite(until)
      AND (r.transaction_id = transaction AND (start_key = '' OR r.evse_id IN (evse, -1))
          OR r.transaction_id IS NULL AND r.evse_id = evse AND evse > 0
              AND r.event_time >= since - interval '10 s' AND r.event_time <= until + interval '10 s')
$$;
COMMENT ON FUNCTION signed_readings_of IS 'The signed readings of a session between two times';

CREATE FUNCTION public_key_of(station text, evse integer) RETURNS text
LANGUAGE sql STABLE SET jit = off AS $$
    SELECT k.value ->> 'Value'
    FROM charge_station_settings_masked s
    CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(s.settings) WHEN 'object' THEN s.settings END) k
    WHERE s.charge_station_id = station AND NOT s.deleted AND k.value ->> 'Value' <> ''
      AND lower(k.key) IN ('meterpublickey' || evse, 'meterpublickey[' || evse || ']', 'meterpublickey',
          'fiscalmetering@' || evse || '/publickey', 'fiscalmetering@' || evse || '.1/publickey',
          'fiscalmetering/publickey')
    ORDER BY length(k.key) DESC, k.key
    LIMIT 1
$$;
COMMENT ON FUNCTION public_key_of IS 'The public key of the meter at an EVSE (2.x) or connector (1.6), as the station''s settings have it: MeterPublicKey, FiscalMetering/PublicKey';

CREATE VIEW signed_sessions AS
SELECT
    t.charge_station_id,
    t.transaction_id,
    t.start_key,
    t.evse_id,
    t.started_at,
    t.stopped_at,
    r.readings,
    r.formats,
    r.signed_begin,
    r.signed_end,
    t.partition_time
FROM transactions t
CROSS JOIN LATERAL session_times(t.charge_station_id, t.evse_id, t.started_at, t.first_event_at,
    t.stopped_at, t.last_event_at, t.partition_time) b
CROSS JOIN LATERAL (
    SELECT count(*) AS readings,
        array_agg(DISTINCT x.format) FILTER (WHERE x.format IS NOT NULL) AS formats,
        coalesce(bool_or(x.context = 'Transaction.Begin' OR x.format = 'OCMF'
            AND x.signed_text ~ '"TX"\s*:\s*"B"'), false) AS signed_begin,
        coalesce(bool_or(x.context = 'Transaction.End' OR x.format = 'OCMF'
            AND x.signed_text ~ '"TX"\s*:\s*"[ELRAP]"'), false) AS signed_end
    FROM signed_readings_of(t.charge_station_id, t.transaction_id, t.start_key, t.evse_id, b.since,
        b.until) x
) r
WHERE r.readings > 0;
COMMENT ON VIEW signed_sessions IS 'One row per session that has signed readings: is there one of its begin and one of its end? Filter by station or partition_time.';
SELECT grant_table('signed_sessions');

DO $$
DECLARE
    name text;
    c record;
BEGIN
    FOREACH name IN ARRAY ARRAY['signed_member(text,text)', 'signed_object(text)', 'signed_text(text)', 'signed_format(text)',
        'register_as_sent(text,text,integer)', 'public_key_of(text,integer)',
        'session_times(text,integer,timestamptz,timestamptz,timestamptz,timestamptz,timestamptz)',
        'signed_readings_of(text,text,text,integer,timestamptz,timestamptz)'] LOOP
        PERFORM bind_function(name::regprocedure, true);
    END LOOP;
    -- They are read-only.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ocpp_writer') THEN
        REVOKE INSERT, UPDATE, DELETE ON signed_readings, signed_sessions FROM ocpp_writer;
    END IF;
    FOR c IN SELECT * FROM (VALUES
        ('signed_readings', 'charge_station_id', 'Charge station'),
        ('signed_readings', 'event_time', 'When it was measured, by the station''s clock'),
        ('signed_readings', 'evse_id', 'EVSE (2.x) or connector (1.6); 0 = the whole station, -1 = not stated'),
        ('signed_readings', 'connector_id', 'Connector, where stated'),
        ('signed_readings', 'transaction_id', 'OCPP transaction id, where stated'),
        ('signed_readings', 'source', 'MeterValues, TransactionEvent or StopTransaction'),
        ('signed_readings', 'position', 'Of the sampled value in its meter value, from 1'),
        ('signed_readings', 'measurand', 'What was measured; Energy.Active.Import.Register where not stated; NULL = not known'),
        ('signed_readings', 'context', 'Transaction.Begin, Transaction.End, ...; Sample.Periodic where not stated'),
        ('signed_readings', 'register_wh', 'The same reading without a signature, in Wh: of the sampled value itself (2.x), or of another one of the same meter value and context; NULL = there is none'),
        ('signed_readings', 'register_as_sent', 'register_wh with the digits it was sent with: 1.50 kWh is 1.50e3'),
        ('signed_readings', 'signed', 'As it was sent: the value, or the members of the object of OCPP 2.x'),
        ('signed_readings', 'signed_text', 'The signed data, decoded; see signed_text()'),
        ('signed_readings', 'format', 'OCMF, Alfen, SML or XML; NULL = another one'),
        ('signed_readings', 'encoding_method', 'As sent (OCPP 2.x)'),
        ('signed_readings', 'signing_method', 'As sent (OCPP 2.x)'),
        ('signed_readings', 'public_key', 'As sent with the reading'),
        ('signed_readings', 'received_at', 'When it was received from the broker'),
        ('signed_readings', 'digest', 'As in meter_values'),
        ('signed_sessions', 'charge_station_id', 'Charge station'),
        ('signed_sessions', 'transaction_id', 'The transaction''s id, as in sessions'),
        ('signed_sessions', 'start_key', 'As in sessions'),
        ('signed_sessions', 'evse_id', 'EVSE (2.x) or connector (1.6) of the session'),
        ('signed_sessions', 'started_at', 'As in sessions'),
        ('signed_sessions', 'stopped_at', 'As in sessions'),
        ('signed_sessions', 'readings', 'How many signed readings it has'),
        ('signed_sessions', 'formats', 'Their formats, as far as known'),
        ('signed_sessions', 'signed_begin', 'There is one of its begin: so says its context, or OCMF itself'),
        ('signed_sessions', 'signed_end', 'There is one of its end'),
        ('signed_sessions', 'partition_time', 'As in sessions; a filter by it reads only the months it names')
    ) v (view_name, column_name, text) LOOP
        EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', c.view_name, c.column_name, c.text);
    END LOOP;
END $$;
