"""Readers see no secret, by whatever way it came in; writers and the owner see all of it."""

import itertools
import json
import re

import msgpack
import psycopg
import pytest
from conftest import stored
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


def store(p):
    """Orders to the store, taken and refused, and what is no message at all."""
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
    # What is no secret is there.
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
