-- What stations accepted and what they report, as MaEVE's tables: charging profiles, reservations,
-- local lists, device reports, events, monitors, display messages. To read: stations and their CSMS
-- say what is in them, and all of it is in ocpp.ocpp_events.
--
-- No view may fail on any payload: a number or a time that is none is as good as absent, and a row
-- that lacks what MaEVE's table cannot be without is left out. Ask for one station: each of its
-- messages is found by the index on action and station.
--
-- A fact counts from when the station said it, by the clock here: the newest wins.

-- Not in SQL: copies of such functions in every place of a plan, for every partition, make planning
-- take seconds. They name all that they use by its schema, or it is PostgreSQL's own.
CREATE FUNCTION number_of(v jsonb) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN CASE WHEN v #>> '{}' ~ '^-?[0-9]{1,60}([.][0-9]{1,60})?$' THEN (v #>> '{}')::numeric END;
END $$;
COMMENT ON FUNCTION number_of IS 'A number, also one written as text; else NULL';

CREATE FUNCTION whole_of(v jsonb) RETURNS integer
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    number numeric := CASE WHEN v #>> '{}' ~ '^-?[0-9]{1,10}([.]0{1,60})?$'
        THEN (v #>> '{}')::numeric END;
BEGIN
    RETURN CASE WHEN number BETWEEN -2147483648 AND 2147483647 THEN number::integer END;
END $$;
COMMENT ON FUNCTION whole_of IS 'A whole number that MaEVE''s integer can hold; else NULL';

-- The text is looked at first: a cast of a time that is none is an error. Years are those that the
-- text form of OCPP can have, in UTC too.
CREATE FUNCTION time_of(told text) RETURNS timestamptz
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    said timestamptz;
BEGIN
    IF told !~ ('^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]'
            '(([01][0-9]|2[0-3]):[0-5][0-9](:([0-5][0-9]([.][0-9]{1,20})?|60([.]0{1,20})?))?'
            '|24:00(:00([.]0{1,20})?)?)([Zz]|[+-](0[0-9]|1[0-4]):?[0-5][0-9])?$')
        OR substr(told, 9, 2)::integer > extract(day FROM make_date(substr(told, 1, 4)::integer,
            substr(told, 6, 2)::integer, 1) + interval '1 month' - interval '1 day') THEN
        RETURN NULL;
    END IF;
    said := told || CASE WHEN told ~ '([Zz]|[+-][0-9]{2}:?[0-9]{2})$' THEN '' ELSE 'Z' END;
    RETURN CASE WHEN said BETWEEN '0001-01-01 00:00:00Z' AND '9999-12-31 23:59:59.999999Z'
        THEN said END;
END $$;
COMMENT ON FUNCTION time_of IS 'A time as OCPP writes it, UTC where it names no zone; NULL for what is none';

-- Of the table's own payloads, and at every write: the session's search_path must not matter.
CREATE FUNCTION reservation_of(id jsonb, reservation_id jsonb) RETURNS integer
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce(maeve.whole_of(id), maeve.whole_of(reservation_id));
END $$;
COMMENT ON FUNCTION reservation_of IS 'The id that ReserveNow gives a reservation: id (2.x) or reservationId (1.6)';

-- MaEVE finds reservations by their id alone. Hardly any message is one of these.
CREATE INDEX maeve_ocpp_events_reservation ON ocpp.ocpp_events (maeve.reservation_of(
        coalesce(request, payload) -> 'id', coalesce(request, payload) -> 'reservationId'))
    WHERE action = 'ReserveNow';

-- A gateway may repeat the request beside the result: then the result says it all, also where the
-- call was not seen. Where it was, the exchange is here twice, and says the same.
CREATE VIEW answered_calls AS
SELECT c.charge_station_id, c.action, c.event_time, c.request, c.response, c.status,
    c.answered_at, c.digest
FROM ocpp.csms_calls c
WHERE c.answer = 'result'
UNION ALL
SELECT e.charge_station_id, e.action, e.event_time, e.request, e.payload, e.payload ->> 'status',
    e.received_at, e.digest
FROM ocpp.ocpp_events_masked e
WHERE e.direction = 'in' AND e.kind = 'result' AND e.request IS NOT NULL;
COMMENT ON VIEW answered_calls IS 'What the views of charging profiles, local lists, monitors and display messages are made of; none of MaEVE''s tables';
COMMENT ON COLUMN answered_calls.charge_station_id IS 'Charge station';
COMMENT ON COLUMN answered_calls.action IS 'OCPP action of the call';
COMMENT ON COLUMN answered_calls.event_time IS 'Of the message in ocpp.ocpp_events: at most ten minutes before the answer';
COMMENT ON COLUMN answered_calls.request IS 'What the CSMS asked for; secrets are masked for who may not read ocpp.ocpp_events.payload';
COMMENT ON COLUMN answered_calls.response IS 'The result; masked like the request';
COMMENT ON COLUMN answered_calls.status IS 'status of the result';
COMMENT ON COLUMN answered_calls.answered_at IS 'When the result was received';
COMMENT ON COLUMN answered_calls.digest IS 'Decides between two of the same time';

-- ---- charging profiles ----

CREATE FUNCTION profile_purpose(purpose text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN purpose IN ('ChargingStationMaxProfile', 'ChargingStationExternalConstraints')
    THEN 'ChargePointMaxProfile' ELSE purpose END;
COMMENT ON FUNCTION profile_purpose IS 'chargingProfilePurpose in the words of 1.6, which MaEVE has for all versions';

CREATE FUNCTION schedule_periods(periods jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('startPeriod', p.start_period,
        'limit', p."limit", 'numberPhases', p.phases)) ORDER BY p.n), '[]')
    FROM (
        SELECT i.n, maeve.whole_of(i.v -> 'startPeriod') AS start_period,
            maeve.number_of(i.v -> 'limit') AS "limit",
            maeve.whole_of(i.v -> 'numberPhases') AS phases
        FROM jsonb_array_elements(CASE jsonb_typeof(periods) WHEN 'array' THEN periods END)
            WITH ORDINALITY AS i (v, n)
    ) p
    WHERE p.start_period IS NOT NULL AND p."limit" IS NOT NULL
$$;
COMMENT ON FUNCTION schedule_periods IS 'chargingSchedulePeriod in MaEVE''s form, without periods that have no start or no limit';

-- A station may be set a profile every minute. So the ids are gathered first, which is cheap, and the
-- newest of each is looked for from the end: answers are looked up for few only.
CREATE VIEW charging_profiles AS
SELECT (hashtextextended(p.charge_station_id, p.profile_id) & 2147483647)::integer AS id,
    p.charge_station_id,
    p.connector_id,
    p.profile_id AS charging_profile_id,
    whole_of(p.profile -> 'transactionId') AS transaction_id,
    p.stack_level,
    p.purpose AS charging_profile_purpose,
    coalesce(p.profile ->> 'chargingProfileKind', '') AS charging_profile_kind,
    p.profile ->> 'recurrencyKind' AS recurrency_kind,
    utc(time_of(p.profile ->> 'validFrom')) AS valid_from,
    utc(time_of(p.profile ->> 'validTo')) AS valid_to,
    coalesce(s.schedule ->> 'chargingRateUnit', '') AS charging_rate_unit,
    whole_of(s.schedule -> 'duration') AS duration,
    utc(time_of(s.schedule ->> 'startSchedule')) AS start_schedule,
    number_of(s.schedule -> 'minChargingRate')::double precision AS min_charging_rate,
    schedule_periods(s.schedule -> 'chargingSchedulePeriod') AS charging_schedule_periods,
    utc(p.told_at) AS created_at,
    utc(p.told_at) AS updated_at
FROM (
    SELECT k.charge_station_id, k.profile_id, n.told_at, n.profile,
        coalesce(whole_of(n.connector), 0) AS connector_id,
        coalesce(whole_of(n.profile -> 'stackLevel'), 0) AS stack_level,
        coalesce(profile_purpose(n.profile ->> 'chargingProfilePurpose'), '') AS purpose
    FROM (
        SELECT e.charge_station_id,
            coalesce(
                whole_of(coalesce(e.request, e.payload)
                    #> '{csChargingProfiles,chargingProfileId}'),
                whole_of(coalesce(e.request, e.payload) #> '{chargingProfile,id}')) AS profile_id
        FROM ocpp.ocpp_events e
        WHERE e.action = 'SetChargingProfile'
          AND (e.kind = 'call' OR e.request IS NOT NULL)
        UNION
        SELECT e.charge_station_id, whole_of(p.v -> 'id')
        FROM ocpp.ocpp_events e
        CROSS JOIN LATERAL ocpp.json_items(e.payload -> 'chargingProfile') AS p (v)
        WHERE e.action = 'ReportChargingProfiles' AND e.kind = 'call'
    ) k
    CROSS JOIN LATERAL (
        SELECT x.*
        FROM (
            (SELECT coalesce(a.answered_at, e.received_at) AS told_at, e.digest,
                coalesce(coalesce(e.request, e.payload) -> 'evseId',
                    coalesce(e.request, e.payload) -> 'connectorId') AS connector,
                coalesce(coalesce(e.request, e.payload) -> 'csChargingProfiles',
                    coalesce(e.request, e.payload) -> 'chargingProfile') AS profile
            FROM ocpp.ocpp_events e
            LEFT JOIN LATERAL (
                SELECT c.answer, c.status, c.answered_at
                FROM ocpp.csms_calls c
                WHERE c.charge_station_id = e.charge_station_id
                  AND c.event_time = e.event_time
                  AND c.digest = e.digest
                LIMIT 1
            ) a ON e.kind = 'call'
            WHERE e.action = 'SetChargingProfile'
              AND e.charge_station_id = k.charge_station_id
              AND coalesce(
                  whole_of(coalesce(e.request, e.payload)
                      #> '{csChargingProfiles,chargingProfileId}'),
                  whole_of(coalesce(e.request, e.payload) #> '{chargingProfile,id}')) = k.profile_id
              AND CASE WHEN e.kind = 'call' THEN a.answer = 'result' AND a.status = 'Accepted'
                  WHEN e.kind = 'result' AND e.direction = 'in' AND e.request IS NOT NULL
                      THEN e.payload ->> 'status' = 'Accepted' END
            ORDER BY e.event_time DESC, e.digest DESC
            LIMIT 1)
            UNION ALL
            (SELECT e.received_at, e.digest, e.payload -> 'evseId', p.v
            FROM ocpp.ocpp_events e
            CROSS JOIN LATERAL ocpp.json_items(e.payload -> 'chargingProfile') AS p (v)
            WHERE e.action = 'ReportChargingProfiles' AND e.kind = 'call'
              AND e.charge_station_id = k.charge_station_id
              AND whole_of(p.v -> 'id') = k.profile_id
            ORDER BY e.event_time DESC, e.digest DESC
            LIMIT 1)
        ) x
        ORDER BY x.told_at DESC, x.digest DESC
        LIMIT 1
    ) n
    WHERE k.profile_id IS NOT NULL
) p
CROSS JOIN LATERAL (
    SELECT CASE jsonb_typeof(p.profile -> 'chargingSchedule')
        WHEN 'array' THEN p.profile #> '{chargingSchedule,0}'
        ELSE p.profile -> 'chargingSchedule' END AS schedule
) s
WHERE NOT EXISTS (
    SELECT
    FROM answered_calls c
    CROSS JOIN LATERAL (
        SELECT coalesce(c.request -> 'chargingProfileId', c.request -> 'id') AS id,
            coalesce(c.request -> 'chargingProfileCriteria', c.request) AS criteria
    ) x
    WHERE c.action = 'ClearChargingProfile' AND c.status = 'Accepted'
      AND c.charge_station_id = p.charge_station_id
      AND c.event_time >= p.told_at - interval '10 minutes'
      AND c.answered_at > p.told_at
      AND CASE WHEN x.id IS NOT NULL THEN whole_of(x.id) = p.profile_id
          ELSE coalesce(whole_of(coalesce(x.criteria -> 'evseId', x.criteria -> 'connectorId'))
                  = p.connector_id, true)
              AND coalesce(profile_purpose(x.criteria ->> 'chargingProfilePurpose')
                  = p.purpose, true)
              AND coalesce(whole_of(x.criteria -> 'stackLevel') = p.stack_level, true)
          END
    OFFSET 0);
COMMENT ON VIEW charging_profiles IS 'The newest SetChargingProfile that the station accepted, or ReportChargingProfiles, of each profile id; not what an accepted ClearChargingProfile removed since. A profile of a transaction stays when that ends, as in MaEVE.';
COMMENT ON COLUMN charging_profiles.id IS 'A digest of station and profile id';
COMMENT ON COLUMN charging_profiles.charge_station_id IS 'Charge station';
COMMENT ON COLUMN charging_profiles.connector_id IS 'Connector (1.6) or EVSE (2.x); 0 = the whole station';
COMMENT ON COLUMN charging_profiles.charging_profile_id IS 'Its id at the station';
COMMENT ON COLUMN charging_profiles.transaction_id IS 'Of 1.6; ids of 2.x are no numbers';
COMMENT ON COLUMN charging_profiles.stack_level IS 'stackLevel; 0 = not stated';
COMMENT ON COLUMN charging_profiles.charging_profile_purpose IS 'In the words of 1.6: station limits and external constraints of 2.x are ChargePointMaxProfile';
COMMENT ON COLUMN charging_profiles.charging_profile_kind IS 'As written';
COMMENT ON COLUMN charging_profiles.recurrency_kind IS 'As written';
COMMENT ON COLUMN charging_profiles.valid_from IS 'UTC';
COMMENT ON COLUMN charging_profiles.valid_to IS 'UTC';
COMMENT ON COLUMN charging_profiles.charging_rate_unit IS 'W or A, of the first schedule';
COMMENT ON COLUMN charging_profiles.duration IS 'Seconds, of the first schedule';
COMMENT ON COLUMN charging_profiles.start_schedule IS 'UTC, of the first schedule';
COMMENT ON COLUMN charging_profiles.min_charging_rate IS 'Of the first schedule';
COMMENT ON COLUMN charging_profiles.charging_schedule_periods IS '2.x: of the first schedule';
COMMENT ON COLUMN charging_profiles.created_at IS 'When the station accepted or reported it last';
COMMENT ON COLUMN charging_profiles.updated_at IS 'As created_at';

-- ---- reservations ----

-- The table itself is asked first, for its index on the id. No field that is shown holds a secret.
CREATE VIEW reservations AS
SELECT r.reservation_id,
    r.charge_station_id,
    coalesce(whole_of(r.request -> 'evseId'), whole_of(r.request -> 'connectorId'), 0)
        AS connector_id,
    coalesce(r.request #>> '{idToken,idToken}', r.request ->> 'idTag', '') AS id_tag,
    coalesce(r.request #>> '{groupIdToken,idToken}', r.request ->> 'parentIdTag')
        AS parent_id_tag,
    r.expiry_date,
    CASE WHEN u.status IS NOT NULL THEN u.status
        WHEN EXISTS (
            SELECT FROM ocpp.transactions t
            WHERE t.charge_station_id = r.charge_station_id
              AND t.reservation_id = r.reservation_id
              AND t.partition_time >= r.accepted_at - interval '1 day'
              AND t.partition_time <= greatest(r.expiry_date, r.accepted_at) + interval '1 day')
            THEN 'Used'
        WHEN r.expiry_date <= now() THEN 'Expired'
        ELSE 'Accepted' END AS status,
    r.accepted_at AS created_at
FROM (
    SELECT DISTINCT ON (e.charge_station_id, i.reservation_id)
        e.charge_station_id, i.reservation_id, i.request, i.expiry_date, i.accepted_at
    FROM ocpp.ocpp_events e
    LEFT JOIN LATERAL (
        SELECT c.answer, c.status, c.answered_at
        FROM ocpp.csms_calls c
        WHERE c.charge_station_id = e.charge_station_id
          AND c.event_time = e.event_time
          AND c.digest = e.digest
        LIMIT 1
    ) a ON e.kind = 'call'
    CROSS JOIN LATERAL (
        SELECT reservation_of(coalesce(e.request, e.payload) -> 'id',
                coalesce(e.request, e.payload) -> 'reservationId') AS reservation_id,
            coalesce(e.request, e.payload) AS request,
            time_of(coalesce(coalesce(e.request, e.payload) ->> 'expiryDateTime',
                coalesce(e.request, e.payload) ->> 'expiryDate')) AS expiry_date,
            CASE e.kind WHEN 'call' THEN a.answered_at ELSE e.received_at END AS accepted_at
    ) i
    WHERE e.action = 'ReserveNow'
      AND i.reservation_id IS NOT NULL
      AND i.expiry_date IS NOT NULL
      AND CASE WHEN e.kind = 'call' THEN a.answer = 'result' AND a.status = 'Accepted'
          WHEN e.kind = 'result' AND e.direction = 'in' AND e.request IS NOT NULL
              THEN e.payload ->> 'status' = 'Accepted' END
    ORDER BY e.charge_station_id, i.reservation_id, i.accepted_at DESC, e.digest DESC
) r
LEFT JOIN LATERAL (
    SELECT x.status
    FROM (
        SELECT CASE n.payload ->> 'reservationUpdateStatus' WHEN 'Removed' THEN 'Cancelled'
                ELSE n.payload ->> 'reservationUpdateStatus' END AS status,
            n.event_time AS told_at
        FROM ocpp.ocpp_events n
        WHERE n.action = 'ReservationStatusUpdate' AND n.kind = 'call'
          AND n.charge_station_id = r.charge_station_id
          AND n.event_time >= r.accepted_at
          AND whole_of(n.payload -> 'reservationId') = r.reservation_id
        UNION ALL
        SELECT 'Cancelled', k.answered_at
        FROM answered_calls k
        WHERE k.action = 'CancelReservation' AND k.status = 'Accepted'
          AND k.charge_station_id = r.charge_station_id
          AND k.event_time >= r.accepted_at - interval '10 minutes'
          AND k.answered_at >= r.accepted_at
          AND whole_of(k.request -> 'reservationId') = r.reservation_id
    ) x
    ORDER BY x.told_at DESC, x.status
    LIMIT 1
) u ON true;
COMMENT ON VIEW reservations IS 'The newest ReserveNow of each id that a station accepted';
COMMENT ON COLUMN reservations.reservation_id IS 'Not unique: stations may have the same';
COMMENT ON COLUMN reservations.charge_station_id IS 'Charge station';
COMMENT ON COLUMN reservations.connector_id IS 'Connector (1.6) or EVSE (2.x); 0 = any';
COMMENT ON COLUMN reservations.id_tag IS 'For whom it is, as written';
COMMENT ON COLUMN reservations.parent_id_tag IS 'parentIdTag (1.6) or groupIdToken.idToken (2.x)';
COMMENT ON COLUMN reservations.expiry_date IS 'When it ends';
COMMENT ON COLUMN reservations.status IS 'Accepted; Cancelled by the CSMS or removed by the station; Expired by the station''s word, or by expiry_date; Used: a transaction names it. What else ReservationStatusUpdate says is as written.';
COMMENT ON COLUMN reservations.created_at IS 'When the station accepted it';

-- ---- local lists ----

CREATE VIEW local_auth_list_versions AS
SELECT DISTINCT ON (v.charge_station_id) v.charge_station_id, v.version, v.told_at AS updated_at
FROM (
    SELECT a.charge_station_id, a.answered_at AS told_at, a.digest,
        coalesce(whole_of(a.request -> 'versionNumber'), whole_of(a.request -> 'listVersion'))
            AS version
    FROM answered_calls a
    WHERE a.action = 'SendLocalList' AND a.status = 'Accepted'
    UNION ALL
    SELECT c.charge_station_id, c.answered_at, c.digest,
        coalesce(whole_of(c.response -> 'versionNumber'), whole_of(c.response -> 'listVersion'))
    FROM ocpp.csms_calls c
    WHERE c.action = 'GetLocalListVersion' AND c.answer = 'result'
    UNION ALL
    SELECT e.charge_station_id, e.received_at, e.digest,
        coalesce(whole_of(e.payload -> 'versionNumber'), whole_of(e.payload -> 'listVersion'))
    FROM ocpp.ocpp_events e
    WHERE e.action = 'GetLocalListVersion' AND e.direction = 'in' AND e.kind = 'result'
) v
WHERE v.version IS NOT NULL
ORDER BY v.charge_station_id, v.told_at DESC, v.digest DESC;
COMMENT ON VIEW local_auth_list_versions IS 'The version of each station''s local list: of the SendLocalList that it accepted last, or its newest answer to GetLocalListVersion';
COMMENT ON COLUMN local_auth_list_versions.charge_station_id IS 'Charge station';
COMMENT ON COLUMN local_auth_list_versions.version IS '0 = it has no list; -1 (1.6) = it knows none';
COMMENT ON COLUMN local_auth_list_versions.updated_at IS 'When the station accepted or said it';

-- A full list replaces what was there, and one of which a station says that it has none is gone.
CREATE VIEW local_auth_list_entries AS
SELECT x.charge_station_id,
    x.id_tag,
    coalesce(x.info ->> 'status', '') AS status,
    coalesce(x.info ->> 'cacheExpiryDateTime', x.info ->> 'expiryDate') AS expiry_date,
    coalesce(x.info #>> '{groupIdToken,idToken}', x.info ->> 'parentIdTag') AS parent_id_tag,
    x.told_at AS created_at,
    x.told_at AS updated_at
FROM (
    SELECT DISTINCT ON (a.charge_station_id, lower(i.id_tag))
        a.charge_station_id, i.id_tag, i.info, a.answered_at AS told_at
    FROM answered_calls a
    LEFT JOIN (
        SELECT f.charge_station_id, max(f.told_at) AS told_at
        FROM (
            SELECT l.charge_station_id, l.answered_at AS told_at
            FROM answered_calls l
            WHERE l.action = 'SendLocalList' AND l.status = 'Accepted'
              AND l.request ->> 'updateType' = 'Full'
            UNION ALL
            SELECT c.charge_station_id, c.answered_at
            FROM ocpp.csms_calls c
            WHERE c.action = 'GetLocalListVersion' AND c.answer = 'result'
              AND coalesce(whole_of(c.response -> 'versionNumber'),
                  whole_of(c.response -> 'listVersion')) <= 0
        ) f
        GROUP BY f.charge_station_id
    ) b ON b.charge_station_id = a.charge_station_id
    CROSS JOIN LATERAL jsonb_array_elements(
        CASE jsonb_typeof(a.request -> 'localAuthorizationList')
            WHEN 'array' THEN a.request -> 'localAuthorizationList' END)
        WITH ORDINALITY AS t (v, n)
    CROSS JOIN LATERAL (
        SELECT coalesce(t.v #>> '{idToken,idToken}', t.v ->> 'idTag') AS id_tag,
            coalesce(t.v -> 'idTokenInfo', t.v -> 'idTagInfo') AS info
    ) i
    WHERE a.action = 'SendLocalList' AND a.status = 'Accepted'
      AND i.id_tag IS NOT NULL
      AND (b.told_at IS NULL OR a.answered_at >= b.told_at)
    ORDER BY a.charge_station_id, lower(i.id_tag), a.answered_at DESC, a.digest DESC, t.n DESC
) x
WHERE jsonb_typeof(x.info) = 'object';
COMMENT ON VIEW local_auth_list_entries IS 'The tokens of each station''s local list, as the lists that it accepted make it: the last full one and what came since';
COMMENT ON COLUMN local_auth_list_entries.charge_station_id IS 'Charge station';
COMMENT ON COLUMN local_auth_list_entries.id_tag IS 'As sent last; one token whether in upper or lower case';
COMMENT ON COLUMN local_auth_list_entries.status IS 'Accepted, Blocked, ..., as written';
COMMENT ON COLUMN local_auth_list_entries.expiry_date IS 'As written';
COMMENT ON COLUMN local_auth_list_entries.parent_id_tag IS 'parentIdTag (1.6) or groupIdToken.idToken (2.x)';
COMMENT ON COLUMN local_auth_list_entries.created_at IS 'When the station accepted it last';
COMMENT ON COLUMN local_auth_list_entries.updated_at IS 'As created_at';

-- ---- device reports, events ----

CREATE VIEW device_report AS
SELECT (e.digest & 2147483647)::integer AS id,
    e.charge_station_id::varchar AS charge_station_id,
    coalesce(whole_of(e.payload -> 'requestId'), 0) AS request_id,
    coalesce(finite(e.event_time), e.received_at) AS generated_at,
    CASE e.action WHEN 'NotifyMonitoringReport' THEN 'MonitoringReport' ELSE (
        SELECT coalesce(b.request, b.payload) ->> 'reportBase'
        FROM ocpp.ocpp_events b
        WHERE b.action = 'GetBaseReport'
          AND b.charge_station_id = e.charge_station_id
          AND b.event_time BETWEEN e.received_at - interval '1 day'
              AND e.received_at + interval '1 minute'
          AND whole_of(coalesce(b.request, b.payload) -> 'requestId')
              = whole_of(e.payload -> 'requestId')
        ORDER BY b.event_time DESC, b.digest
        LIMIT 1
    ) END AS report_type,
    CASE e.action WHEN 'NotifyMonitoringReport' THEN e.payload -> 'monitor'
        ELSE e.payload -> 'reportData' END AS report_data,
    e.received_at AS created_at
FROM ocpp.ocpp_events_masked e
WHERE e.action IN ('NotifyReport', 'NotifyMonitoringReport') AND e.kind = 'call';
COMMENT ON VIEW device_report IS '2.x: NotifyReport and NotifyMonitoringReport, a row each. A report that comes in parts is several rows of one request_id.';
COMMENT ON COLUMN device_report.id IS 'A digest of the message';
COMMENT ON COLUMN device_report.charge_station_id IS 'Charge station';
COMMENT ON COLUMN device_report.request_id IS 'requestId; 0 = not stated';
COMMENT ON COLUMN device_report.generated_at IS 'generatedAt, or when it was received if that is no time';
COMMENT ON COLUMN device_report.report_type IS 'reportBase of the GetBaseReport that asked for it (FullInventory, ...); MonitoringReport; NULL = asked for otherwise';
COMMENT ON COLUMN device_report.report_data IS 'reportData or monitor of the message, as sent; secrets are masked for who may not read ocpp.ocpp_events.payload';
COMMENT ON COLUMN device_report.created_at IS 'When it was received';

CREATE VIEW charge_station_event AS
SELECT (hashint8extended(e.digest, d.n) & 2147483647)::integer AS id,
    e.charge_station_id::varchar AS charge_station_id,
    coalesce(t.at, finite(e.event_time), e.received_at) AS "timestamp",
    coalesce(d.v ->> 'eventNotificationType', d.v ->> 'trigger', '') AS event_type,
    d.v ->> 'techCode' AS tech_code,
    d.v ->> 'techInfo' AS tech_info,
    d.v::text AS event_data,
    d.v #>> '{component,name}' AS component_id,
    d.v #>> '{variable,name}' AS variable_id,
    coalesce(d.v ->> 'cleared' = 'true', false) AS cleared,
    e.received_at AS created_at
FROM ocpp.ocpp_events_masked e
CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(e.payload -> 'eventData')
    WHEN 'array' THEN e.payload -> 'eventData' END) WITH ORDINALITY AS d (v, n)
CROSS JOIN LATERAL (
    SELECT CASE WHEN p.at >= '2010-01-01 00:00:00Z' AND p.at < '2100-01-01 00:00:00Z' THEN p.at END
        AS at
    FROM (SELECT time_of(d.v ->> 'timestamp') AS at) p
) t
WHERE e.action = 'NotifyEvent' AND e.kind = 'call';
COMMENT ON VIEW charge_station_event IS '2.x: one row per eventData of NotifyEvent. Security events are in ocpp.security_events.';
COMMENT ON COLUMN charge_station_event.id IS 'A digest of the message and the place in it';
COMMENT ON COLUMN charge_station_event.charge_station_id IS 'Charge station';
COMMENT ON COLUMN charge_station_event."timestamp" IS 'The station''s own time if it is in [2010, 2100), else that of the message';
COMMENT ON COLUMN charge_station_event.event_type IS 'eventNotificationType, or trigger where that is not stated';
COMMENT ON COLUMN charge_station_event.tech_code IS 'techCode';
COMMENT ON COLUMN charge_station_event.tech_info IS 'techInfo';
COMMENT ON COLUMN charge_station_event.event_data IS 'The whole of it as JSON text; secrets are masked for who may not read ocpp.ocpp_events.payload';
COMMENT ON COLUMN charge_station_event.component_id IS 'Name of the component';
COMMENT ON COLUMN charge_station_event.variable_id IS 'Name of the variable';
COMMENT ON COLUMN charge_station_event.cleared IS 'True if it says that an event is over';
COMMENT ON COLUMN charge_station_event.created_at IS 'When it was received';

-- ---- monitors ----

-- An answer has the id that the station gave; value and transaction are in the request only, in the
-- same place, or else where the same variable and type are named.
CREATE VIEW variable_monitoring AS
SELECT m.monitor_id AS id,
    m.charge_station_id::varchar AS charge_station_id,
    coalesce(m.component ->> 'name', '') AS component_name,
    m.component ->> 'instance' AS component_instance,
    coalesce(m.variable ->> 'name', '') AS variable_name,
    m.variable ->> 'instance' AS variable_instance,
    m.monitor_type,
    m.value,
    m.severity,
    m.transaction,
    m.told_at AS created_at
FROM (
    SELECT DISTINCT ON (s.charge_station_id, s.monitor_id) s.*
    FROM (
        SELECT a.charge_station_id, a.answered_at AS told_at, a.digest,
            whole_of(r.v -> 'id') AS monitor_id,
            coalesce(r.v -> 'component', q.v -> 'component') AS component,
            coalesce(r.v -> 'variable', q.v -> 'variable') AS variable,
            coalesce(r.v ->> 'type', q.v ->> 'type', '') AS monitor_type,
            number_of(q.v -> 'value')::double precision AS value,
            coalesce(whole_of(r.v -> 'severity'), whole_of(q.v -> 'severity'), 0) AS severity,
            coalesce(q.v ->> 'transaction' = 'true', false) AS transaction
        FROM answered_calls a
        CROSS JOIN LATERAL jsonb_array_elements(
            CASE jsonb_typeof(a.response -> 'setMonitoringResult')
                WHEN 'array' THEN a.response -> 'setMonitoringResult' END)
            WITH ORDINALITY AS r (v, n)
        CROSS JOIN LATERAL (
            SELECT d.v
            FROM jsonb_array_elements(CASE jsonb_typeof(a.request -> 'setMonitoringData')
                WHEN 'array' THEN a.request -> 'setMonitoringData' END)
                WITH ORDINALITY AS d (v, n)
            CROSS JOIN LATERAL (
                SELECT coalesce(d.v -> 'component' = r.v -> 'component'
                    AND d.v -> 'variable' = r.v -> 'variable'
                    AND d.v ->> 'type' = r.v ->> 'type', false) AS named
            ) x
            WHERE x.named OR d.n = r.n
            ORDER BY x.named DESC, (d.n = r.n) DESC, d.n
            LIMIT 1
        ) q
        WHERE a.action = 'SetVariableMonitoring' AND r.v ->> 'status' = 'Accepted'
        UNION ALL
        SELECT e.charge_station_id, e.received_at, e.digest, whole_of(v.v -> 'id'),
            d.v -> 'component', d.v -> 'variable', coalesce(v.v ->> 'type', ''),
            number_of(v.v -> 'value')::double precision,
            coalesce(whole_of(v.v -> 'severity'), 0),
            coalesce(v.v ->> 'transaction' = 'true', false)
        FROM ocpp.ocpp_events_masked e
        CROSS JOIN LATERAL ocpp.json_items(e.payload -> 'monitor') AS d (v)
        CROSS JOIN LATERAL ocpp.json_items(d.v -> 'variableMonitoring') AS v (v)
        WHERE e.action = 'NotifyMonitoringReport' AND e.kind = 'call'
    ) s
    WHERE s.monitor_id IS NOT NULL AND s.value IS NOT NULL
    ORDER BY s.charge_station_id, s.monitor_id, s.told_at DESC, s.digest DESC
) m
WHERE NOT EXISTS (
    SELECT FROM answered_calls c
    CROSS JOIN LATERAL ocpp.json_items(c.response -> 'clearMonitoringResult') AS r (v)
    WHERE c.action = 'ClearVariableMonitoring'
      AND c.charge_station_id = m.charge_station_id
      AND c.answered_at > m.told_at
      AND whole_of(r.v -> 'id') = m.monitor_id
      AND r.v ->> 'status' = 'Accepted')
  AND NOT EXISTS (
    SELECT FROM answered_calls c
    WHERE c.action = 'SetMonitoringBase' AND c.status = 'Accepted'
      AND c.charge_station_id = m.charge_station_id
      AND c.answered_at > m.told_at
      AND c.request ->> 'monitoringBase' IN ('FactoryDefault', 'HardWiredOnly'));
COMMENT ON VIEW variable_monitoring IS '2.x: monitors that stations accepted (SetVariableMonitoring) or report (NotifyMonitoringReport); not what an accepted ClearVariableMonitoring removed since. After SetMonitoringBase FactoryDefault or HardWiredOnly only those that the station reports are known.';
COMMENT ON COLUMN variable_monitoring.id IS 'The id that the station gave: unique for this station only';
COMMENT ON COLUMN variable_monitoring.charge_station_id IS 'Charge station';
COMMENT ON COLUMN variable_monitoring.component_name IS 'Name of the component';
COMMENT ON COLUMN variable_monitoring.component_instance IS 'Its instance';
COMMENT ON COLUMN variable_monitoring.variable_name IS 'Name of the variable';
COMMENT ON COLUMN variable_monitoring.variable_instance IS 'Its instance';
COMMENT ON COLUMN variable_monitoring.monitor_type IS 'UpperThreshold, LowerThreshold, Delta, ..., as written';
COMMENT ON COLUMN variable_monitoring.value IS 'Limit, difference or interval';
COMMENT ON COLUMN variable_monitoring.severity IS '0 (danger) to 9 (debug)';
COMMENT ON COLUMN variable_monitoring.transaction IS 'True if it is active during transactions only';
COMMENT ON COLUMN variable_monitoring.created_at IS 'When the station accepted or reported it last';

-- ---- display messages ----

CREATE VIEW display_messages AS
SELECT m.charge_station_id,
    m.message_id,
    coalesce(m.info ->> 'priority', '') AS priority,
    m.info ->> 'state' AS state,
    time_of(m.info ->> 'startDateTime') AS start_date_time,
    time_of(m.info ->> 'endDateTime') AS end_date_time,
    m.info ->> 'transactionId' AS transaction_id,
    coalesce(m.info #>> '{message,content}', '') AS content,
    m.info #>> '{message,language}' AS language,
    coalesce(m.info #>> '{message,format}', '') AS format,
    m.told_at AS created_at,
    m.told_at AS updated_at
FROM (
    SELECT DISTINCT ON (s.charge_station_id, i.message_id)
        s.charge_station_id, i.message_id, s.info, s.told_at
    FROM (
        SELECT a.charge_station_id, a.answered_at AS told_at, a.digest,
            a.request -> 'message' AS info
        FROM answered_calls a
        WHERE a.action = 'SetDisplayMessage' AND a.status = 'Accepted'
        UNION ALL
        SELECT e.charge_station_id, e.received_at, e.digest, d.v
        FROM ocpp.ocpp_events_masked e
        CROSS JOIN LATERAL ocpp.json_items(e.payload -> 'messageInfo') AS d (v)
        WHERE e.action = 'NotifyDisplayMessages' AND e.kind = 'call'
    ) s
    CROSS JOIN LATERAL (SELECT whole_of(s.info -> 'id') AS message_id) i
    WHERE i.message_id IS NOT NULL
    ORDER BY s.charge_station_id, i.message_id, s.told_at DESC, s.digest DESC
) m
WHERE NOT EXISTS (
    SELECT FROM answered_calls c
    WHERE c.action = 'ClearDisplayMessage' AND c.status = 'Accepted'
      AND c.charge_station_id = m.charge_station_id
      AND c.answered_at > m.told_at
      AND whole_of(c.request -> 'id') = m.message_id);
COMMENT ON VIEW display_messages IS '2.x: messages that stations accepted (SetDisplayMessage) or report (NotifyDisplayMessages); not what an accepted ClearDisplayMessage removed since';
COMMENT ON COLUMN display_messages.charge_station_id IS 'Charge station';
COMMENT ON COLUMN display_messages.message_id IS 'Its id at the station';
COMMENT ON COLUMN display_messages.priority IS 'As written';
COMMENT ON COLUMN display_messages.state IS 'State of the station in which it is shown; NULL = in any';
COMMENT ON COLUMN display_messages.start_date_time IS 'Shown from';
COMMENT ON COLUMN display_messages.end_date_time IS 'Shown until';
COMMENT ON COLUMN display_messages.transaction_id IS 'Of the transaction during which it is shown';
COMMENT ON COLUMN display_messages.content IS 'Text; secrets are masked for who may not read ocpp.ocpp_events.payload';
COMMENT ON COLUMN display_messages.language IS 'Of the text';
COMMENT ON COLUMN display_messages.format IS 'Of the text, as written';
COMMENT ON COLUMN display_messages.created_at IS 'When the station accepted or reported it last';
COMMENT ON COLUMN display_messages.updated_at IS 'As created_at';

-- ---- firmware that a station publishes ----

-- As MaEVE keeps it: a PublishFirmware that was accepted says where it is from, its checksum and
-- request; the notifications say what became of it, and once it is published where.
CREATE OR REPLACE VIEW publish_firmware_status AS
SELECT s.charge_station_id,
    CASE WHEN s.answered_at > s.received_at THEN 'Accepted' ELSE coalesce(s.status, '') END
        AS status,
    coalesce(n.location, s.request ->> 'location', '') AS location,
    coalesce(s.request ->> 'checksum', '') AS checksum,
    coalesce(CASE WHEN s.answered_at > s.received_at THEN NULL ELSE s.request_id END,
        whole_of(s.request -> 'requestId'), 0) AS request_id,
    CASE WHEN s.answered_at > s.received_at THEN s.answered_at ELSE s.updated_at END AS updated_at
FROM (
    SELECT o.charge_station_id, o.status, o.request_id, o.received_at, o.updated_at,
        a.request, a.answered_at
    FROM ocpp.operation_status o
    LEFT JOIN LATERAL (
        SELECT c.request, c.answered_at
        FROM answered_calls c
        WHERE c.action = 'PublishFirmware' AND c.status = 'Accepted'
          AND c.charge_station_id = o.charge_station_id
        ORDER BY c.answered_at DESC, c.digest DESC
        LIMIT 1
    ) a ON true
    WHERE o.operation = 'publish_firmware'
    UNION ALL
    (SELECT DISTINCT ON (c.charge_station_id)
        c.charge_station_id, NULL, NULL, '-infinity', NULL, c.request, c.answered_at
    FROM answered_calls c
    WHERE c.action = 'PublishFirmware' AND c.status = 'Accepted'
      AND NOT EXISTS (
        SELECT FROM ocpp.operation_status o
        WHERE o.charge_station_id = c.charge_station_id AND o.operation = 'publish_firmware')
    ORDER BY c.charge_station_id, c.answered_at DESC, c.digest DESC)
) s
LEFT JOIN LATERAL (
    SELECT CASE jsonb_typeof(e.payload -> 'location') WHEN 'array' THEN e.payload #>> '{location,0}'
        ELSE e.payload ->> 'location' END AS location
    FROM ocpp.ocpp_events_masked e
    WHERE e.action = 'PublishFirmwareStatusNotification' AND e.kind = 'call'
      AND e.charge_station_id = s.charge_station_id
      AND e.event_time >= coalesce(s.answered_at, '-infinity')
      AND CASE jsonb_typeof(e.payload -> 'location')
          WHEN 'array' THEN jsonb_array_length(e.payload -> 'location') > 0
          WHEN 'string' THEN true ELSE false END
    ORDER BY e.event_time DESC, e.digest DESC
    LIMIT 1
) n ON true;
COMMENT ON VIEW publish_firmware_status IS 'ocpp.operation_status, with the PublishFirmware that the station accepted last';
COMMENT ON COLUMN publish_firmware_status.location IS 'The first location at which the station published it; until then where it was to get it from';
COMMENT ON COLUMN publish_firmware_status.checksum IS 'Of the PublishFirmware; empty if that was not seen';

-- Read-only by their grants, as the views of migration 3.
DO $$
DECLARE
    role text;
BEGIN
    FOR role IN SELECT rolname FROM pg_roles WHERE rolname IN ('ocpp_writer', 'ocpp_reader') LOOP
        EXECUTE format('GRANT SELECT ON answered_calls, charging_profiles, reservations,
            local_auth_list_versions, local_auth_list_entries, device_report,
            charge_station_event, variable_monitoring, display_messages TO %I', role);
    END LOOP;
END $$;
