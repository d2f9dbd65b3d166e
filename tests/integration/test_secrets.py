"""Readers see no secret, whichever way it came in; writers and the owner see everything."""

import glob
import itertools
import json
import os
import re

import msgpack
import psycopg
import pytest
from conftest import ROOT, run_cli, stored
from psycopg import sql
from test_rights import login  # noqa: F401

# Each secret is a word of its own, so that what leaks says how it came in.
SECRET = re.compile(rb"HIDE[0-9]{4}ME")
PARTS = [("ocpp1.6", "1.6"), ("ocpp2.0.1", "2.0.1"), ("ocpp2.1", "2.1")]


class Plants:
    """Publishes messages with secrets, and knows how many there are."""

    def __init__(self, publish):
        self.publish, self.count, self.sent = publish, 0, 0
        self.ids = itertools.count(1)

    def new(self):
        self.count += 1
        return f"HIDE{self.count:04}ME"

    def raw(self, topic, payload):
        self.publish.raw(topic, payload)
        self.sent += 1

    def every_form(self, topic, kind, action, make, request=None):
        """As envelope and frame, in JSON and msgpack; a new secret each time."""
        for encode, frame in itertools.product((json.dumps, msgpack.packb), (False, True)):
            id, body = f"m{next(self.ids)}", make()
            if frame:
                message = {2: [2, id, action, body], 3: [3, id, body], 6: [6, id, action, body],
                           4: [4, id, "InternalError", body.get("text", ""), body],
                           5: [5, id, "InternalError", body.get("text", ""), body]}[kind]
            else:
                message = {"type": kind, "action": action, "id": id}
                if kind in (4, 5):
                    message.update(error_code="InternalError", error_details=body,
                                   error_description=body.get("text", ""))
                else:
                    message["request" if kind in (2, 6) else "response"] = body
                if request:
                    message["request"] = request()
            self.raw(topic, encode(message))


def plant(p):
    def variable(name="BasicAuthPassword", **more):
        return {"component": {"name": "SecurityCtrlr", "instance": "1"},
                "variable": {"name": name}, **more}

    into, out = "cs/in/ocpp1.6/cs1", "cs/out/ocpp1.6/cs1"
    for key in ("AuthorizationKey", "authorizationkey", "AUTHORIZATIONKEY", "Wifi_Password",
                "APN password", "SimPin"):
        change = lambda: {"key": key, "value": p.new()}  # noqa: E731
        p.every_form(out, 2, "ChangeConfiguration", change)
        p.every_form(into, 3, "ChangeConfiguration", lambda: {"status": "Accepted"}, request=change)
        p.every_form(into, 3, "GetConfiguration", lambda: {"configurationKey": [
            {"key": "HeartbeatInterval", "value": "300", "readonly": False},
            {"key": key, "value": p.new(), "readonly": False}], "unknownKey": ["x"]})
    p.every_form(into, 4, "ChangeConfiguration", lambda: {"text": f"not good: {p.new()}"})
    # Its text cannot be stored: the bytes of the message are kept beside it.
    p.every_form(out, 2, "ChangeConfiguration",
                 lambda: {"key": "AuthorizationKey", "value": p.new() + "\0"})
    p.every_form(into, 2, "DataTransfer", lambda: {
        "vendorId": "v", "messageId": "Login", "data": json.dumps({"apiKey": p.new()})})
    p.every_form(out, 2, "GetDiagnostics", lambda: {"location": f"ftp://me:{p.new()}@host/path"})
    for version in ("ocpp2.0.1", "ocpp2.1"):
        into, out = f"cs/in/{version}/cs2", f"cs/out/{version}/cs2"
        set_it = lambda: {"setVariableData": [  # noqa: E731
            variable("HeartbeatInterval", attributeValue="300"),
            variable(attributeValue=p.new(), attributeType="Target"),
            variable("basicAUTHpassword", attributeValue=p.new())]}
        p.every_form(out, 2, "SetVariables", set_it)
        p.every_form(into, 3, "SetVariables", lambda: {"setVariableResult": [variable(
            attributeStatus="Rejected", attributeStatusInfo={
                "reasonCode": "ValueTooLow", "additionalInfo": f"{p.new()} is short"})]},
            request=set_it)
        p.every_form(into, 3, "GetVariables", lambda: {"getVariableResult": [
            variable(attributeValue=p.new(), attributeStatus="Accepted")]})
        p.every_form(into, 2, "NotifyReport", lambda: {
            "requestId": 1, "seqNo": 0, "generatedAt": "2026-01-31T10:00:00Z", "reportData": [
                variable(variableAttribute=[{"type": "Actual", "value": p.new()}],
                         variableCharacteristics={"dataType": "string", "valuesList": p.new()})]})
        p.every_form(into, 2, "NotifyEvent", lambda: {
            "generatedAt": "2026-01-31T10:00:00Z", "seqNo": 0, "eventData": [variable(
                eventId=1, timestamp="2026-01-31T10:00:00Z", trigger="Alerting",
                actualValue=p.new(), eventNotificationType="HardWiredNotification")]})
        p.every_form(out, 2, "SetNetworkProfile", lambda: {
            "configurationSlot": 1, "connectionData": {
            "ocppCsmsUrl": f"wss://cs2:{p.new()}@csms/ocpp", "basicAuthPassword": p.new(),
            "apn": {"apn": "a", "apnPassword": p.new(), "simPin": int(p.new()[4:8])},
            "vpn": {"server": "s", "user": "u", "password": p.new(), "key": p.new()}}})
        p.every_form(into, 4, "SetVariables", lambda: {"text": p.new(), "why": p.new()})
    p.every_form("cs/out/ocpp2.1/cs2", 5, "SetVariables", lambda: {"text": p.new(), "why": p.new()})
    store(p)


def hiding(p, value):
    """The document with secrets at each depth: in customData, and in fields that nobody knows."""
    if isinstance(value, list):
        return [hiding(p, v) for v in value]
    if not isinstance(value, dict):
        return value
    return {**{k: hiding(p, v) for k, v in value.items()}, "password": p.new(),
            "customData": {"vendorId": "v", "apiKey": p.new(), "more": [{"sim_pin": p.new()}]}}


TIME = "2026-01-31T10:00:00Z"
SAMPLE = {"value": "1", "context": "Sample.Periodic", "unit": "Wh"}
SAMPLE_2 = {"value": 1, "signedMeterValue": {"signedMeterData": "a"},
            "unitOfMeasure": {"unit": "Wh"}}
TOKEN = {"idToken": "T", "type": "Central"}
TRANSACTION = {"eventType": "Started", "timestamp": TIME, "triggerReason": "Authorized", "seqNo": 0,
               "transactionInfo": {"transactionId": "t1", "chargingState": "Charging"},
               "idToken": TOKEN, "evse": {"id": 1, "connectorId": 1},
               "meterValue": [{"timestamp": TIME, "sampledValue": [SAMPLE_2]}]}
# Actions that have tables of their own, and what makes rows there.
BODIES = {
    ("1.6", "Authorize"): {"idTag": "T"},
    ("1.6", "StartTransaction"): {"connectorId": 1, "idTag": "T", "meterStart": 0,
                                  "timestamp": TIME},
    ("1.6", "StopTransaction"): {"transactionId": 7, "meterStop": 9, "timestamp": TIME,
                                 "transactionData": [
                                     {"timestamp": TIME, "sampledValue": [SAMPLE]}]},
    ("1.6", "MeterValues"): {"connectorId": 1, "meterValue": [
        {"timestamp": TIME, "sampledValue": [SAMPLE]}]},
    ("1.6", "StatusNotification"): {"connectorId": 1, "errorCode": "NoError", "status": "Available",
                                    "timestamp": TIME},
    ("1.6", "BootNotification"): {"chargePointVendor": "v", "chargePointModel": "m"},
}
for _version in ("2.0.1", "2.1"):
    BODIES.update({
        (_version, "Authorize"): {"idToken": TOKEN},
        (_version, "TransactionEvent"): TRANSACTION,
        (_version, "MeterValues"): {"evseId": 1, "meterValue": [
            {"timestamp": TIME, "sampledValue": [SAMPLE_2]}]},
        (_version, "StatusNotification"): {"timestamp": TIME, "connectorStatus": "Available",
                                           "evseId": 1, "connectorId": 1},
        (_version, "BootNotification"): {"reason": "PowerUp", "chargingStation": {
            "model": "m", "vendorName": "v"}},
    })
ANSWERS = {"Authorize": {"idTagInfo": {"status": "Accepted"},
                         "idTokenInfo": {"status": "Accepted"}},
           "StartTransaction": {"transactionId": 7, "idTagInfo": {"status": "Accepted"}},
           "StopTransaction": {"idTagInfo": {"status": "Accepted"}},
           "TransactionEvent": {"totalCost": 1, "idTokenInfo": {"status": "Accepted"}}}


def every_action():
    """Those of each version that have a schema, and some without one."""
    for path in sorted(glob.glob(os.path.join(ROOT, "schemas", "*.schema"))):
        version, _, rest = os.path.basename(path).partition("-")
        if rest.count(".") == 1:
            for v in ("2.0.1", "2.1") if version == "2" else (version,):
                yield v, rest.removesuffix(".schema")
    for version in ("1.6", "2.0.1", "2.1"):
        for action in ("StatusNotification", "BootNotification", "Heartbeat", "DataTransfer",
                       "FirmwareStatusNotification", "ReserveNow", "ChangeAvailability",
                       "SetChargingProfile", "SendLocalList", "NotifyReport", "Unheard"):
            yield version, action


def plant_in_every_action(p):
    for n, (version, action) in enumerate(sorted(set(every_action()))):
        station = f"all{n}"
        into, out = f"cs/in/ocpp{version}/{station}", f"cs/out/ocpp{version}/{station}"
        body = BODIES.get((version, action), {"a": {"b": [{"c": 1}]}})
        answer = ANSWERS.get(action, {"status": "Accepted", "statusInfo": {"reasonCode": "r"}})
        p.every_form(into, 2, action, lambda: hiding(p, body))
        p.every_form(out, 2, action, lambda: hiding(p, body))
        p.every_form(out, 3, action, lambda: hiding(p, answer))
        p.every_form(into, 3, action, lambda: hiding(p, answer), request=lambda: hiding(p, body))
        p.every_form(into, 4, action, lambda: {**hiding(p, {}), "text": f"password: {p.new()}"})


def plant_in_words(p):
    """Free text of stations that has a document, or a line of one."""
    into = "cs/in/ocpp1.6/words"
    for n, words in enumerate((lambda: json.dumps({"password": p.new()}),
                               lambda: f"AuthorizationKey={p.new()}",
                               lambda: f'{{"p\\u0061ssword": "{p.new()}"}}')):
        p.every_form(into, 2, "StatusNotification", lambda: {
            "connectorId": n + 1, "errorCode": "NoError", "status": "Available", "timestamp": TIME,
            "info": words(), "vendorErrorCode": words(), "vendorId": words()})
        p.every_form(into, 2, "StopTransaction", lambda: {
            "transactionId": 70 + n, "meterStop": 9, "timestamp": TIME, "reason": words()})
        p.every_form("cs/in/ocpp2.1/words", 2, "TransactionEvent", lambda: {
            **TRANSACTION, "triggerReason": words(), "transactionInfo": {
                "transactionId": f"w{n}", "chargingState": words(), "stoppedReason": words()}})
        p.every_form(into, 2, "DataTransfer", lambda: {"vendorId": "v", "data": words()})
        p.every_form(into, 2, "MeterValues", lambda: {"connectorId": 1, "meterValue": [
            {"timestamp": TIME, "sampledValue": [{**SAMPLE, "value": words()}]}]})


def plant_odd_names(p):
    """The name of a secret where OCPP has none."""
    out = "cs/out/ocpp1.6/names"
    for key in (["AuthorizationKey"], {"name": "AuthorizationKey"}, [["AuthorizationKey"]]):
        p.every_form(out, 2, "ChangeConfiguration", lambda: {"key": key, "value": p.new()})
    p.every_form(out, 2, "DataTransfer", lambda: {"vendorId": "v", "data": [
        "AuthorizationKey", p.new()]})
    p.every_form(out, 2, "DataTransfer", lambda: {"vendorId": "v", "data": {
        "label": "WifiPassword", "content": p.new()}})
    for where in ("component", "variable"):
        named = {"component": {"name": "C"}, "variable": {"name": "V"}}
        named[where]["instance"] = "BasicAuthPassword"
        p.every_form("cs/out/ocpp2.1/names", 2, "SetVariables", lambda: {
            "setVariableData": [{**named, "attributeValue": p.new()}]})
        p.every_form("cs/in/ocpp2.1/names", 3, "GetVariables", lambda: {
            "getVariableResult": [{**named, "attributeValue": p.new(),
                                   "attributeStatus": "Accepted"}]})
        p.every_form("cs/in/ocpp2.1/names", 2, "NotifyReport", lambda: {
            "requestId": 1, "seqNo": 0, "generatedAt": TIME,
            "reportData": [{**named, "variableAttribute": [{"value": p.new()}]}]})


def plant_in_replay(p, settings, path):
    """Old messages, with their own days."""
    path.write_text("".join(json.dumps({
        "topic": "cs/in/ocpp1.6/replayed", "tst": "2026-01-30T10:00:00.000000Z", "qos": 1,
        "payload": json.dumps([2, f"r{n}", action, hiding(p, BODIES["1.6", action])])}) + "\n"
        for n, action in enumerate(("StartTransaction", "MeterValues", "Authorize"))))
    done = run_cli(settings, "replay", str(path))
    assert done.returncode == 0, done.stderr


def store(p):
    """Orders to the store, taken and refused, and what is not a message at all."""
    def tell(entity, **message):
        for encode in (json.dumps, msgpack.packb):
            p.raw(f"cs/store/{entity}", encode({"op": "set", **message}))

    for key in ("AuthorizationKey", "SecurityCtrlr/BasicAuthPassword:Target", "vpn-key"):
        tell("setting", charge_station_id="cs3", key=key, value=p.new(), status="Pending")
        tell("setting", charge_station_id="cs3", key=key, value=p.new(), status="Pending", odd=1)
    station = {"charge_station_id": "cs3", "security_profile": 1, "invalid_username_allowed": False}
    tell("charge-station", **station, base64_sha256_password=p.new())
    tell("charge-station", **station, base64_sha256_password=p.new(), odd=1)
    tell("registration", token=p.new(), status="registered")
    tell("registration", token=p.new(), status="registered", odd=1)
    tell("party", role="CPO", country_code="GB", party_id="TWK", url="http://a", token=p.new())
    tell("nothing", password=p.new())
    p.raw("cs/out/ocpp1.6/cs1",
          f'[2,"9","ChangeConfiguration",{{"key":"AuthorizationKey","{p.new()}')
    # The server refuses this one, and quotes it.
    p.raw("cs/store/party", json.dumps({"op": "set", "role": "CPO", "country_code": "GB",
                                        "party_id": "\x01", "url": "u" * 9000, "token": p.new()}))


def seen(session, admin):
    """{secret: where} of all that a session can read, column by column, of every table and view;
    and the columns that it can read."""
    found, readable = {}, set()
    session.execute("SET jit = off")  # a query for each column, of few rows
    for relation, column in admin.execute("""
            SELECT c.oid::regclass::text, quote_ident(a.attname) FROM pg_class c
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relnamespace::regnamespace::text IN ('ocpp', 'maeve')
              AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1, a.attnum""").fetchall():
        try:
            rows = session.execute(sql.SQL("SELECT {} FROM {}").format(
                sql.SQL(column), sql.SQL(relation))).fetchall()
        except psycopg.errors.InsufficientPrivilege:
            continue
        readable.add(f"{relation}.{column}")
        for value, in rows:
            text = bytes(value) if isinstance(value, (bytes, memoryview)) else (
                json.dumps(value, default=str).encode())
            for secret in SECRET.findall(text):
                found.setdefault(secret.decode(), []).append(f"{relation}.{column}")
    return found, readable


@pytest.fixture
def planted(running, migrated, migrate, publish):
    """Everything is stored, and the secrets are among it."""
    assert migrate("maeve", "up").returncode == 0
    persister = running({"mqtt.topics": "cs/in/+/+, cs/out/+/+, cs/store/+"})
    p = Plants(publish)
    plant(p)
    stored(migrated, p.sent, timeout=120)
    assert persister.running
    return p


def test_reader_sees_no_secret_in_any_table_or_view(planted, migrated, login):  # noqa: F811
    admin = migrated.connect(search_path="")
    all_of_it, _ = seen(admin, admin)
    assert len(all_of_it) > 0.9 * planted.count  # some were news of the same setting
    reader = login("reader")
    found, readable = seen(reader, admin)
    assert found == {}
    writer = login("writer")
    assert set(seen(writer, admin)[0]) == set(all_of_it)
    for column in ("payload", "detail"):
        assert f"ocpp.dead_letters.{column}" not in readable
    # What is not a secret is there.
    for name in ("ocpp_events.action", "ocpp_events_masked.payload", "csms_calls.request",
                 "device_reports.value", "charge_station_settings_masked.settings",
                 "dead_letters.reason", "dead_letters_masked.detail", "meter_values.sampled"):
        assert f"ocpp.{name}" in readable, name
    assert "maeve.charge_station_settings.settings" in readable
    settings = reader.execute("SELECT settings FROM ocpp.charge_station_settings_masked "
                              "WHERE charge_station_id = 'cs1'").fetchone()[0]
    assert settings["HeartbeatInterval"]["Value"] == "300"
    assert settings["AuthorizationKey"]["Value"] == "***"
    assert settings["AuthorizationKey"]["Status"] == "Accepted"
    request = reader.execute("""SELECT request FROM ocpp.csms_calls
        WHERE action = 'ChangeConfiguration' AND charge_station_id = 'cs1' LIMIT 1""").fetchone()[0]
    assert request.keys() == {"key", "value"}
    assert reader.execute("""SELECT DISTINCT component, variable, value FROM ocpp.device_reports"""
                          ).fetchall() == [("SecurityCtrlr", "BasicAuthPassword", "***")]
    assert reader.execute("SELECT count(*) FROM ocpp.ocpp_events").fetchone()[0] > 100


@pytest.fixture
def planted_everywhere(running, migrated, migrate, publish, tmp_path):
    assert migrate("maeve", "up").returncode == 0
    persister = running({"mqtt.topics": "cs/in/+/+, cs/out/+/+, cs/store/+"})
    p = Plants(publish)
    plant_in_every_action(p)
    plant_in_words(p)
    plant_odd_names(p)
    plant_in_replay(p, migrated.writer_settings(), tmp_path / "old")
    stored(migrated, p.sent, timeout=120)
    assert persister.running
    return p


def test_reader_sees_no_secret_of_any_message(
        planted_everywhere, migrated, login):  # noqa: F811
    admin = migrated.connect(search_path="")
    all_of_it, _ = seen(admin, admin)
    assert len(all_of_it) > 0.9 * planted_everywhere.count
    reader = login("reader")
    found, readable = seen(reader, admin)
    assert found == {}
    for name in ("meter_samples.value_text", "sessions.stopped_reason",
                 "meter_values_json.meter_value",
                 "connector_status.status", "connector_status_masked.info",
                 "transaction_events_masked.extra", "authorizations_masked.extra",
                 "meter_values_masked.raw", "meter_values.sampled", "transactions.meter_stop"):
        assert f"ocpp.{name}" in readable, name
    assert "maeve.meter_values.sampled_value" in readable or "maeve.meter_values" in {
        name.rpartition(".")[0] for name in readable}
    # And what is not a secret is as it was sent.
    assert reader.execute("SELECT DISTINCT value FROM ocpp.meter_samples"
                          " WHERE charge_station_id <> 'words'").fetchall() == [(1,)]
    assert reader.execute("SELECT extra -> 'customData' ->> 'vendorId' FROM"
                          " ocpp.authorizations_masked LIMIT 1").fetchone() == ("v",)


def test_documents_are_not_for_readers_unless_we_know_what_is_in_them(migrated):
    """Whatever table, and whatever partition, also of those to come."""
    with migrated.connect() as c:
        c.execute("""ALTER TABLE operation_status ADD COLUMN said jsonb;
            CREATE TABLE of_ours (a integer, b jsonb, c bytea);
            SELECT grant_table('operation_status'), grant_table('of_ours'),
                ensure_partition('meter_values', '2026-05-05Z'),
                ensure_partition('transaction_events', '2026-05-05Z')""")
        assert c.execute("""
            SELECT c.relname, a.attname FROM pg_class c
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relnamespace = 'ocpp'::regnamespace AND c.relkind IN ('r', 'p')
              AND a.atttypid IN ('jsonb'::regtype, 'json'::regtype, 'bytea'::regtype)
              AND has_column_privilege('ocpp_reader', c.oid, a.attnum, 'SELECT')
            ORDER BY 1, 2""").fetchall() == [
                ("ingest_progress", "asked"), ("ingest_progress", "begins"),
                ("ingest_progress", "content"), ("ingest_progress", "reasons"),
                ("store_transaction_values", "digest")]
        assert c.execute("SELECT has_column_privilege('ocpp_reader', 'of_ours', 'a', 'SELECT')"
                         ).fetchone()[0]


def test_functions_that_views_call_find_names_by_no_search_path(migrated, migrate):
    assert migrate("maeve", "up").returncode == 0
    with migrated.connect(search_path="") as c:
        loose = [name for name, in c.execute("""
            WITH RECURSIVE called (id) AS (
                SELECT p.oid FROM pg_proc p WHERE p.prosecdef
                UNION SELECT d.refobjid FROM pg_depend d
                JOIN pg_rewrite r ON r.oid = d.objid
                WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_proc'::regclass
                UNION SELECT p.oid FROM called
                JOIN pg_proc f ON f.oid = called.id
                JOIN pg_proc p ON f.prosrc ~ ('\\m' || p.proname || '\\(')
                    AND p.pronamespace IN ('ocpp'::regnamespace, 'maeve'::regnamespace)
            )
            SELECT p.oid::regprocedure::text FROM pg_proc p JOIN called ON called.id = p.oid
            WHERE p.pronamespace IN ('ocpp'::regnamespace, 'maeve'::regnamespace)
              AND p.prosqlbody IS NULL AND NOT EXISTS (
                SELECT FROM unnest(p.proconfig) s WHERE s LIKE 'search_path=%'
                AND s ~ '^search_path=(pg_catalog|ocpp|maeve), pg_temp$')""")]
    assert loose == []


def test_reader_with_functions_of_its_own_sees_no_more(planted, migrated, login):  # noqa: F811
    """search_path is the reader's: a function of that name must not be handed what is masked."""
    admin, reader = migrated.connect(search_path=""), login("reader")
    names = [name for name, in admin.execute("""
        SELECT DISTINCT q.proname FROM pg_proc q
        WHERE q.pronamespace = 'pg_catalog'::regnamespace AND q.prokind = 'f' AND EXISTS (
            SELECT FROM pg_proc p
            WHERE p.pronamespace IN ('ocpp'::regnamespace, 'maeve'::regnamespace)
            AND p.prosrc || coalesce(pg_get_function_sqlbody(p.oid), '')
                ~ ('\\m' || q.proname || '\\('))""")]
    admin.execute(f"CREATE SCHEMA evil AUTHORIZATION {reader.info.user}")
    reader.execute("CREATE TABLE evil.caught (v text)")
    made = 0
    for name, arguments, returns, is_set in admin.execute("""
            SELECT proname, array_to_string(proargtypes::regtype[]::text[], ', '),
                prorettype::regtype::text, proretset FROM pg_proc
            WHERE proname = ANY (%s) AND pronamespace = 'pg_catalog'::regnamespace
              AND prokind = 'f' AND provariadic = 0 AND prorettype <> 'internal'::regtype
              AND ('jsonb'::regtype = ANY (proargtypes) OR 'text'::regtype = ANY (proargtypes))""",
            (names,)).fetchall():
        try:
            reader.execute(f"""CREATE FUNCTION evil.{name}({arguments})
                RETURNS {'SETOF ' if is_set else ''}{returns} LANGUAGE plpgsql AS $f$ BEGIN
                INSERT INTO evil.caught VALUES ($1::text); RETURN; END $f$""" if is_set else
                f"""CREATE FUNCTION evil.{name}({arguments}) RETURNS {returns} LANGUAGE plpgsql AS
                $f$ BEGIN INSERT INTO evil.caught VALUES ($1::text); RETURN NULL; END $f$""")
            made += 1
        except psycopg.Error:
            pass
    assert made > 5
    reader.execute("SET search_path = evil, pg_catalog, ocpp")
    for view in ("ocpp.ocpp_events_masked", "ocpp.csms_calls", "ocpp.device_reports",
                 "ocpp.device_events", "ocpp.security_events", "ocpp.refused_results",
                 "ocpp.charge_station_settings_masked", "ocpp.dead_letters_masked",
                 "ocpp.charging_profiles", "maeve.answered_calls", "maeve.charging_profiles",
                 "maeve.reservations", "maeve.local_auth_list_versions",
                 "maeve.local_auth_list_entries", "maeve.device_report",
                 "maeve.charge_station_event", "maeve.variable_monitoring",
                 "maeve.display_messages", "maeve.publish_firmware_status"):
        try:
            reader.execute(f"SELECT * FROM {view}").fetchall()
        except psycopg.Error:
            pass
    caught = [v for v, in reader.execute("SELECT v FROM evil.caught WHERE v IS NOT NULL")]
    assert not [v for v in caught if SECRET.search(v.encode())]
    reader.execute("DROP SCHEMA evil CASCADE")


def test_words_are_added_by_a_setting(running, migrated, publish, login):  # noqa: F811
    persister = running({"secrets.keys": "Portal Code, TotpSeed"})
    for key in ("webPortalCode", "totp_seed", "Other"):
        publish.call("cs1", "ChangeConfiguration", {"key": key, "value": f"value of {key}"},
                     id=key, direction="out")
    stored(migrated, 3)
    assert persister.running
    assert dict(login("reader").execute(
        "SELECT request ->> 'key', request ->> 'value' FROM ocpp.csms_calls").fetchall()) == {
            "webPortalCode": "***", "totp_seed": "***", "Other": "value of Other"}


def test_role_that_may_read_the_column_sees_it_in_views(planted, migrated):
    """Grants of an operator's own: MaEVE's API needs settings as they are."""
    admin = migrated.connect(search_path="")
    name = f"api_of_{migrated.name}"
    admin.execute(f"""CREATE ROLE {name} LOGIN PASSWORD 'secret';
        GRANT USAGE ON SCHEMA maeve TO {name};
        GRANT SELECT ON ALL TABLES IN SCHEMA maeve TO {name}""")
    look = ("SELECT settings #>> '{AuthorizationKey,Value}' FROM charge_station_settings "
            "WHERE charge_station_id = 'cs3'")
    try:
        with psycopg.connect(migrated.cluster.dsn(migrated.name, name, "secret"), autocommit=True,
                             options="-c search_path=maeve") as api:
            assert api.execute(look).fetchone()[0] == "***"
            admin.execute(f"GRANT SELECT ON ocpp.charge_station_settings TO {name}")
            assert SECRET.match(api.execute(look).fetchone()[0].encode())
    finally:
        admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
