"""Stations whose clocks, lists and brokers are odd, and what must be stored all the same.

Times of receipt matter here, so most messages come from captures (mosquitto_sub, with tabs).
"""

import datetime
import itertools
import json
import random
import re

import pytest
import rig
from conftest import make_database, run_cli, stored

EPOCH = datetime.datetime(2026, 1, 31, 10, tzinfo=datetime.timezone.utc)
DAYS = 86400
INVALID = ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0000-00-00T00:00:00Z", "yesterday",
           "2000-01-01T12:00:00Z", "2150-01-01T00:00:00Z", ""]


def captured(after, message, station="cs", version="1.6", direction="in"):
    """A line of a capture: received so many seconds after EPOCH. "@9.0@" is the number 9.0."""
    text = re.sub(r'"@([^"@]*)@"', r"\1", json.dumps(message))
    return (f"{EPOCH.timestamp() + after:.6f}\t1\t0\tcs/{direction}/ocpp{version}/{station}\t\t"
            f"{text.encode().hex()}\n")


def status(at, value, id, version="1.6"):
    if version == "1.6":
        request = {"connectorId": 1, "status": value, "errorCode": "NoError", "timestamp": at}
    else:
        request = {"evseId": 1, "connectorId": 1, "connectorStatus": value, "timestamp": at}
    return [2, id, "StatusNotification", request]


@pytest.fixture(scope="module")
def odd(postgres):
    """A database that the tests of this file share, each with stations of its own."""
    database = make_database(postgres)
    assert run_cli(database.settings(), "migrate", "up").returncode == 0
    return database


@pytest.fixture
def replay(odd, tmp_path):
    """replay(lines, ...): feeds these lines to the database, one replay after the other."""
    numbers = itertools.count()

    def run(*parts):
        for lines in parts:
            path = tmp_path / f"{next(numbers)}.txt"
            path.write_text("".join(lines))
            done = run_cli(odd.settings(), "replay", str(path))
            assert done.returncode == 0, done.stderr
        assert odd.rows("SELECT reason, detail FROM dead_letters") == []
        return odd

    return run


def orders(lines):
    """The same lines in one batch and in several, forwards and backwards, and once more."""
    return {"once": [lines], "backwards": [lines[::-1]], "repeated": [lines, lines],
            "apart": [[line] for line in lines],
            "apart backwards": [[line] for line in lines[::-1]]}


def replay_all(replay, cases):
    """cases: {station: parts}; all their first parts are one replay, then all second ones, ..."""
    for n in range(max(len(parts) for parts in cases.values())):
        replay([line for parts in cases.values() if n < len(parts) for line in parts[n]])


def test_status_with_an_invalid_time_counts_from_its_receipt(odd, replay):
    cases, expected = {}, {}
    for version, at, later, order in itertools.product(
            ["1.6", "2.0.1", "2.1"], INVALID, (False, True), orders([])):
        station = f"status {version} {at} {later} {order}"
        says = [(0, "2026-01-31T10:00:00Z", "Charging"), (60, at, "Available"),
                (120, "2026-01-31T10:01:30Z", "Faulted")]
        cases[station] = orders([
            captured(after, status(own, value, str(after), version), station, version)
            for after, own, value in says[:3 if later else 2]])[order]
        expected[station] = (("Faulted", EPOCH + datetime.timedelta(seconds=90)) if later
                             else ("Available", EPOCH + datetime.timedelta(seconds=60)))
    replay_all(replay, cases)
    found = {station: tuple(row) for station, *row in odd.rows(
        "SELECT charge_station_id, status, event_time FROM connector_status"
        " WHERE charge_station_id LIKE 'status%'")}
    assert found == expected


def test_of_two_states_with_one_time_the_last_received_counts(odd, replay):
    """Stations send whole seconds. Also if all are delivered again: the broker keeps the order."""
    cases, expected = {}, {}
    for version, number, again, order in itertools.product(
            ["1.6", "2.0.1"], range(4), (False, True), orders([])):
        station = f"tie {version} {number} {again} {order}"
        at = f"2026-01-31T10:00:0{number}Z"
        says = [(number, "Finishing"), (number + 0.15, "Available"),
                (number + 0.2, "Preparing")]
        if again:
            says += [(after + 60, value) for after, value in says]
        cases[station] = orders([
            captured(after, status(at, value, value, version), station, version)
            for after, value in says])[order]
        expected[station] = "Preparing"
    replay_all(replay, cases)
    assert dict(odd.rows("SELECT charge_station_id, status FROM connector_status"
                         " WHERE charge_station_id LIKE 'tie %'")) == expected


FUTURE = {"2099-12-31T23:59:59Z": True, "2027-01-31T10:00:00Z": True, "2026-01-31T10:06:01Z": True,
          "2026-01-31T10:05:59Z": False}


def test_status_dated_in_the_future_counts_from_its_receipt(odd, replay):
    """A clock that is a few minutes ahead is believed; one that is further ahead pins nothing."""
    cases, expected = {}, {}
    for version, (at, ahead), later, order in itertools.product(
            ["1.6", "2.0.1", "2.1"], FUTURE.items(), (False, True), orders([])):
        station = f"future {version} {at} {later} {order}"
        says = [(0, "2026-01-31T10:00:00Z", "Charging"), (60, at, "Available"),
                (120, "2026-01-31T10:07:00Z", "Faulted")]
        cases[station] = orders([
            captured(after, status(own, value, str(after), version), station, version)
            for after, own, value in says[:3 if later else 2]])[order]
        own = datetime.datetime.fromisoformat(at.replace("Z", "+00:00"))
        expected[station] = (
            ("Faulted", EPOCH + datetime.timedelta(minutes=7), []) if later else
            ("Available", EPOCH + datetime.timedelta(seconds=60), ["time_future"]) if ahead else
            ("Available", own, []))
    replay_all(replay, cases)
    found = {station: tuple(row) for station, *row in odd.rows(
        "SELECT charge_station_id, status, event_time, flag_names(flags) FROM connector_status"
        " WHERE charge_station_id LIKE 'future%'")}
    assert found == expected
    # The event keeps what the station said.
    assert odd.rows("SELECT DISTINCT event_time::text, flag_names(flags) FROM ocpp_events"
                    " WHERE charge_station_id LIKE 'future%' AND event_time > '2099-01-01'") == [
        ("2099-12-31 23:59:59+00", ["time_future"])]


def test_same_message_with_an_invalid_time_on_two_days_is_two_events(odd, replay):
    """Under other message ids, and under the same: ids begin at 1 again after each start."""
    cases, expected = {}, {}
    for at, same in itertools.product(INVALID, (False, True)):
        for order in orders([]):
            station = f"days {at} {same} {order}"
            cases[station] = orders([
                captured(day * 86400, status(at, "Available", "1" if same else f"m{day}"), station)
                for day in range(3)])[order]
            expected[station] = [(at, False, EPOCH + datetime.timedelta(days=day))
                                 for day in range(3)]
    replay_all(replay, cases)
    found = {}
    for station, *row in odd.rows(
            "SELECT charge_station_id, time_text, isfinite(event_time), received_at"
            " FROM ocpp_events WHERE charge_station_id LIKE 'days%' ORDER BY received_at"):
        found.setdefault(station, []).append(tuple(row))
    assert found == expected


def test_copy_of_a_message_with_an_invalid_time_is_found_within_the_window(odd, replay):
    """Wherever the window of ten minutes begins, in one batch and in two, in either order."""
    cases, expected = {}, {}
    for apart, count in [(1, 1), (599, 1), (600, 1), (601, 2), (86400, 2)]:
        for begin in random.Random(1).sample(range(1, 1200), 6):
            for order in orders([]):
                station = f"window {apart} {begin} {order}"
                cases[station] = orders([
                    captured(at, status(INVALID[0], "Available", "1"), station)
                    for at in (begin, begin + apart)])[order]
                expected[station] = count
    replay_all(replay, cases)
    assert dict(odd.rows("SELECT charge_station_id, count(*) FROM ocpp_events"
                         " WHERE charge_station_id LIKE 'window%' GROUP BY 1")) == expected


def test_meter_values_with_an_invalid_time_are_kept_each_day(odd, replay):
    lines = [captured(day * 86400, [2, f"m{day}", "MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": INVALID[0], "sampledValue": [{"value": "5"}]}]}], "meter")
        for day in range(3)]
    replay(lines, lines)
    assert odd.value("SELECT count(*) FROM meter_values WHERE charge_station_id = 'meter'") == 3


def test_start_with_an_invalid_time_finds_its_answer(odd, replay):
    """The key of the start depends on when it was received; what refers to it must follow."""
    start = [2, "7", "StartTransaction", {"connectorId": 1, "idTag": "T", "meterStart": 5,
                                          "timestamp": INVALID[0]}]
    answer = [3, "7", {"transactionId": 9, "idTagInfo": {"status": "Accepted"}}]
    cases = {order: orders([captured(1199, start, f"start {order}"),
                            captured(1202, start, f"start {order}"),
                            captured(1203, answer, f"start {order}", direction="out")])[order]
             for order in orders([])}
    replay_all(replay, cases)
    assert odd.rows(
        "SELECT t.charge_station_id, t.transaction_id, t.id_token, t.meter_start,"
        " (SELECT count(*) FROM transaction_events e"
        "  WHERE e.charge_station_id = t.charge_station_id)"
        " FROM transactions t WHERE t.charge_station_id LIKE 'start%' ORDER BY 1") == [
        (f"start {order}", "9", "T", 5, 1) for order in sorted(cases)]


BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_what_the_broker_keeps_is_no_new_event_at_each_start(running, migrated, broker, publish,
                                                            version, tmp_path):
    settings = {"mqtt.version": version, "mqtt.session_expiry": "0s", "dedupe.window": "0s"}
    kept = [("BootNotification", BOOT),
            ("StatusNotification", {"connectorId": 1, "status": "Available",
                                    "errorCode": "NoError"}),
            ("StatusNotification", {"connectorId": 2, "status": "Faulted", "errorCode": "NoError",
                                    "timestamp": INVALID[0]}),
            ("FirmwareStatusNotification", {"status": "Idle"})]
    first = running(settings)
    for number, (action, request) in enumerate(kept):
        envelope = {"type": 2, "action": action, "id": "1", "request": request}
        publish.client.publish(f"cs/in/ocpp1.6/cs{number}", json.dumps(envelope), 1,
                               retain=True).wait_for_publish(rig.HANGS_S)
    stored(migrated, len(kept))
    before = [migrated.rows(sql) for sql in STATES]
    first.stop()
    for start in (1, 2):
        p = running({**settings, "mqtt.client_id": f"new{start}"})
        stored(migrated, len(kept) * (start + 1))
        p.stop()
    assert [migrated.rows(sql) for sql in STATES] == before
    assert migrated.rows("SELECT sum(stored), sum(duplicate) FROM ingest_progress") == [
        (len(kept), 2 * len(kept))]
    exported = tmp_path / "exported.jsonl"
    exported.write_text(run_cli({"spool.dir": p.settings["spool.dir"]}, "spool", "export",
                                "json").stdout)
    assert '"retain":true' in exported.read_text()
    done = run_cli({**migrated.settings(), "dedupe.window": "0s"}, "replay", str(exported))
    assert done.returncode == 0, done.stderr
    assert [migrated.rows(sql) for sql in STATES] == before


def kept_line(form, day, id, retain):
    """As `mosquitto_sub -F %j` or `spool export` writes it."""
    message = json.dumps([2, id, "BootNotification", BOOT])
    at = (EPOCH + datetime.timedelta(days=day)).isoformat()
    line = {"topic": f"cs/in/ocpp1.6/kept{form}{id}", "qos": 1, "payload": message}
    if form == "capture":
        return json.dumps({"tst": at, "retain": retain, "payloadlen": len(message), **line}) + "\n"
    return json.dumps({"received_at": at, **line, **({"retain": True} if retain else {})}) + "\n"


@pytest.mark.parametrize("form", ["capture", "export"])
def test_what_the_broker_keeps_is_no_new_event_in_each_capture(odd, replay, form):
    """In one capture and in one for each day; without the flag a later copy is a new event."""
    replay([kept_line(form, day, "once", day > 0) for day in range(3)])
    for day in range(3):
        replay([kept_line(form, day, "apart", 1), kept_line(form, day, "new", 0)])
    assert odd.rows("SELECT message_id, count(*), min(received_at) FROM ocpp_events"
                    " WHERE charge_station_id LIKE %s GROUP BY 1 ORDER BY 1",
                    f"kept{form}%") == [
        ("apart", 1, EPOCH), ("new", 3, EPOCH), ("once", 1, EPOCH)]
    assert odd.rows("SELECT booted_at FROM charge_station_status WHERE charge_station_id = %s",
                    f"kept{form}apart") == [(EPOCH,)]


STATES = [
    "SELECT charge_station_id, action, event_time::text, received_at FROM ocpp_events ORDER BY 1",
    "SELECT charge_station_id, booted_at FROM charge_station_status ORDER BY 1",
    "SELECT charge_station_id, status, event_time FROM connector_status ORDER BY 1",
    "SELECT charge_station_id, status, received_at FROM operation_status ORDER BY 1"]


def test_value_that_an_answer_leaves_out_stays_as_it_was(odd, replay):
    """Write-only keys are never reported with a value."""
    def exchange(at, call, request, response, version):
        id = f"{call}{at}"
        return [captured(at, [2, id, call, request], f"absent {version}", version, "out"),
                captured(at + 1, [3, id, response], f"absent {version}", version)]

    variable = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    empty = {"component": {"name": "C"}, "variable": {"name": "Empty"}}
    told = [{**variable, "attributeValue": "secret"}, {**empty, "attributeValue": "x"}]
    lines = [
        *exchange(0, "ChangeConfiguration", {"key": "AuthorizationKey", "value": "4F43"},
                  {"status": "Accepted"}, "1.6"),
        *exchange(10, "GetConfiguration", {}, {"configurationKey": [
            {"key": "AuthorizationKey", "readonly": False},
            {"key": "Other", "readonly": False, "value": None},
            {"key": "Empty", "readonly": False, "value": ""}]}, "1.6"),
        *exchange(20, "ChangeConfiguration", {"key": "AuthorizationKey"},
                  {"status": "Accepted"}, "1.6"),
        *exchange(0, "SetVariables", {"setVariableData": told}, {"setVariableResult": [
            {**variable, "attributeStatus": "Accepted"},
            {**empty, "attributeStatus": "Accepted"}]}, "2.0.1"),
        *exchange(10, "GetVariables", {"getVariableData": [variable]}, {"getVariableResult": [
            {**variable, "attributeStatus": "Accepted"},
            {**empty, "attributeStatus": "Accepted", "attributeValue": ""}]}, "2.0.1"),
        *exchange(20, "SetVariables", {"setVariableData": [variable]}, {"setVariableResult": [
            {**variable, "attributeStatus": "Accepted"}]}, "2.0.1")]
    replay(lines)
    replay(lines[::-1])
    assert odd.rows("SELECT charge_station_id, key, value ->> 'Value'"
                    " FROM charge_station_settings, jsonb_each(settings) AS s (key, value)"
                    " WHERE charge_station_id LIKE 'absent%' ORDER BY 1, 2") == [
        ("absent 1.6", "AuthorizationKey", "4F43"), ("absent 1.6", "Empty", ""),
        ("absent 2.0.1", "C/Empty", ""),
        ("absent 2.0.1", "SecurityCtrlr/BasicAuthPassword", "secret")]


VALUE = {"value": "5", "measurand": "Voltage", "unit": "V"}


@pytest.mark.parametrize("action, version, around", [
    ("MeterValues", "1.6", {"connectorId": 1}),
    ("MeterValues", "2.0.1", {"evseId": 1}),
    ("TransactionEvent", "2.1", {
        "eventType": "Updated", "timestamp": "2026-01-31T10:00:00Z", "triggerReason": "Trigger",
        "seqNo": 1, "transactionInfo": {"transactionId": "T"}}),
    ("StopTransaction", "1.6", {"transactionId": 1, "meterStop": 5,
                                "timestamp": "2026-01-31T10:00:00Z"})])
def test_object_in_place_of_a_list_is_a_list_of_one(odd, replay, action, version, around):
    member = "transactionData" if action == "StopTransaction" else "meterValue"
    at = "2026-01-31T10:00:00Z"
    one = {"timestamp": at, "sampledValue": VALUE}
    listed = {"timestamp": at, "sampledValue": [VALUE]}
    shapes = [[listed], one, [one], listed]
    name = f"shape {action} {version}"
    messages = [[2, str(n), action, {**around, member: shape}] for n, shape in enumerate(shapes)]
    replay([captured(n, message, f"{name} {n}", version) for n, message in enumerate(messages)] +
           [captured(n, message, f"{name} all", version) for n, message in enumerate(messages)])
    rows = odd.rows("SELECT charge_station_id, 'shape' = ANY (flag_names(flags)), digest, sampled,"
                    " raw FROM meter_values WHERE starts_with(charge_station_id, %s)"
                    " ORDER BY 1", name)
    assert [row[:2] for row in rows] == [
        (f"{name} 0", False), (f"{name} 1", True), (f"{name} 2", True), (f"{name} 3", True),
        (f"{name} all", False)]
    assert [row[2:] for row in rows] == [rows[0][2:]] * len(rows)


def test_object_in_place_of_a_list_of_settings_is_a_list_of_one(odd, replay):
    v = {"component": {"name": "C"}, "variable": {"name": "V"}}
    asked = {"1.6": [("GetConfiguration", {}, "configurationKey", {"key": "K", "value": "1"}, {})],
             "2.0.1": [("SetVariables", {"setVariableData": {**v, "attributeValue": "1"}},
                        "setVariableResult", {**v, "attributeStatus": "Accepted"}, {}),
                       ("GetVariables", {"getVariableData": [v]}, "getVariableResult",
                        {**v, "attributeStatus": "Accepted", "attributeValue": "1"}, {})]}
    lines, expected = [], {}
    for version, calls in asked.items():
        for action, request, name, item, more in calls:
            for shape in ("object", "list"):
                station = f"settings {action} {shape}"
                response = {name: item if shape == "object" else [item], **more}
                lines += [captured(0, [2, "1", action, request], station, version, "out"),
                          captured(1, [3, "1", response], station, version)]
                shaped = shape == "object"
                expected[station] = ("1", shaped)
    replay(lines)
    found = {station: (value, shaped) for station, value, shaped in odd.rows(
        "SELECT s.charge_station_id, k.value ->> 'Value',"
        " (SELECT 'shape' = ANY (flag_names(e.flags)) FROM ocpp_events e"
        "  WHERE e.charge_station_id = s.charge_station_id AND e.kind = 'result')"
        " FROM charge_station_settings s, jsonb_each(s.settings) k"
        " WHERE s.charge_station_id LIKE 'settings %'")}
    assert found == expected
    assert odd.rows("SELECT DISTINCT kind FROM ocpp_events WHERE flag_names(flags) @> '{shape}'"
                    " AND charge_station_id LIKE 'settings SetVariables%' ORDER BY 1") == [
        ("call",), ("result",)]


def test_object_in_place_of_a_list_is_one_in_schema_maeve(odd, replay):
    at = {"component": {"name": "C"}, "variable": {"name": "V"}}
    event = {"eventId": 1, "timestamp": "2026-01-31T09:59:00Z", "trigger": "Delta",
             "actualValue": "1", **at}
    monitor = {"type": "UpperThreshold", "severity": 3, **at}
    token = {"idToken": {"idToken": "A", "type": "Central"}, "idTokenInfo": {"status": "Accepted"}}
    period = {"startPeriod": 0, "limit": 16}
    profile = {"id": 7, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
               "chargingProfileKind": "Absolute", "chargingSchedule": [
                   {"id": 1, "chargingRateUnit": "A"}]}
    for shape, wrap in (("object", lambda item: item), ("list", lambda item: [item])):
        profile["chargingSchedule"][0]["chargingSchedulePeriod"] = wrap(period)
        exchanges = [
            ("SetVariableMonitoring", {"setMonitoringData": wrap({"value": 5, **monitor})},
             {"setMonitoringResult": wrap({"id": 4, "status": "Accepted", **monitor})}),
            ("SendLocalList", {"versionNumber": 1, "updateType": "Full",
                               "localAuthorizationList": wrap(token)}, {"status": "Accepted"}),
            ("SetChargingProfile", {"evseId": 1, "chargingProfile": profile},
             {"status": "Accepted"})]
        lines = [captured(0, [2, "1", "NotifyEvent", {
            "generatedAt": "2026-01-31T10:00:00Z", "seqNo": 0, "eventData": wrap(event)}],
            "one " + shape, "2.0.1")]
        for number, (action, request, response) in enumerate(exchanges):
            lines += [captured(10 * number, [2, f"c{number}", action, request], "one " + shape,
                               "2.0.1", "out"),
                      captured(10 * number + 1, [3, f"c{number}", response], "one " + shape,
                               "2.0.1")]
        replay(lines)
    up = run_cli(odd.settings(), "migrate", "maeve", "up")
    assert up.returncode == 0, up.stderr
    for columns, wanted in (
            ("component_id, tech_code FROM maeve.charge_station_event", ("C", None)),
            ("id, value FROM maeve.variable_monitoring", (4, 5.0)),
            ("id_tag FROM maeve.local_auth_list_entries", ("A",)),
            ("charging_schedule_periods::text FROM maeve.charging_profiles",
             ('[{"limit": 16, "startPeriod": 0}]',))):
        for shape in ("list", "object"):
            assert odd.rows(f"SELECT {columns} WHERE charge_station_id = 'one {shape}'") == [
                wanted], (columns, shape)
    assert odd.rows("SELECT action, kind FROM ocpp_events WHERE charge_station_id = 'one object'"
                    " AND flag_names(flags) @> '{shape}' ORDER BY 1, 2") == [
        ("NotifyEvent", "call"), ("SendLocalList", "call"), ("SetVariableMonitoring", "call"),
        ("SetVariableMonitoring", "result")]
    # As it was, and again.
    for _ in range(2):
        for way in ("down 1", "up"):
            done = run_cli(odd.settings(), "migrate", "maeve", *way.split())
            assert done.returncode == 0, done.stderr


def test_late_answers_to_calls_of_the_csms_are_theirs(odd, replay):
    """As rule 19 has it for calls of stations: nothing else has their id within pairing.keep."""
    def call(days, id="1"):
        return (days * DAYS, "out", [2, id, "GetLocalListVersion", {}])

    def answer(days, version, id="1"):
        return (days * DAYS, "in", [3, id, {"listVersion": version}])

    cases = {"near": ([call(0), answer(0.001, 1)], [1]), "late": ([call(0), answer(2, 1)], [1]),
             "beyond": ([call(0), answer(8, 1)], [None]),
             "other call": ([call(0), answer(2, 1), call(5)], [None, None]),
             "other answer": ([call(0), answer(2, 1), answer(6, 2)], [None]),
             "chain": ([call(0), call(5), answer(10, 1)], [None, None]),
             "other id": ([call(0), answer(2, 1), call(3, "2"), answer(3.001, 2, "2")], [1, 2]),
             "both near": ([call(0), answer(0.001, 1), call(1), answer(1.001, 2)], [1, 2])}
    replay([captured(at, message, "called " + name, direction=direction)
            for name, (messages, _) in cases.items() for at, direction, message in messages])
    found = {}
    for name, version in odd.rows(
            "SELECT charge_station_id, (response ->> 'listVersion')::int FROM csms_calls"
            " WHERE charge_station_id LIKE 'called %' ORDER BY event_time"):
        found.setdefault(name.removeprefix("called "), []).append(version)
    assert found == {name: expected for name, (_, expected) in cases.items()}


def test_signed_data_is_flagged_as_what_it_is(odd, replay):
    formats = ["SignedData", "signeddata", "SIGNEDDATA", "signedData"]
    replay([captured(0, [2, "1", "MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": "2026-01-31T10:00:00Z", "sampledValue": [
            {"value": "OCMF|{}|{}", "format": format},
            {"value": "1234", "format": format}, {"value": "7"}]}]}], "signed " + format)
        for format in formats])
    assert odd.rows("SELECT flag_names(flags), sampled::text FROM meter_values"
                    " WHERE charge_station_id LIKE 'signed %'") == [
        (["signed"], "{NULL,NULL,7}")] * len(formats)


def start_of(after, id, connector, token, meter):
    at = (EPOCH + datetime.timedelta(seconds=after)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (after, "in", [2, id, "StartTransaction", {
        "connectorId": connector, "idTag": token, "meterStart": meter, "timestamp": at}])


def answer_to(after, id, transaction):
    return (after, "out", [3, id, {"transactionId": transaction,
                                   "idTagInfo": {"status": "Accepted"}}])


def stop_of(after, id, transaction, meter, token=None):
    at = (EPOCH + datetime.timedelta(seconds=after)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (after, "in", [2, id, "StopTransaction", {
        "transactionId": transaction, "meterStop": meter, "timestamp": at,
        **({"idTag": token} if token else {})}])


def replay_in_all_orders(replay, name, histories):
    """histories: {what: (version, messages)}. The stations: name, what and order."""
    cases = {}
    for what, (version, messages) in histories.items():
        for order in orders([]):
            station = f"{name} {what} {order}"
            cases[station] = orders([captured(after, message, station, version, direction)
                                     for after, direction, message in messages])[order]
    replay_all(replay, cases)
    return sorted(cases)


def sessions_of(odd, replay, name, histories, version="1.6"):
    """histories: {what: messages}. {(what, order): sessions} as (token, Wh, flags), by start."""
    stations = replay_in_all_orders(replay, name, {what: (version, messages)
                                                   for what, messages in histories.items()})
    found = {station: [] for station in stations}
    for station, *row in odd.rows(
            "SELECT charge_station_id, id_token, energy_wh::integer, flags FROM sessions"
            " WHERE starts_with(charge_station_id, %s)"
            " ORDER BY started_at NULLS FIRST, stopped_at, id_token", name + " "):
        found[station].append(tuple(row))
    return {tuple(station.removeprefix(name + " ").split(" ", 1)): rows
            for station, rows in found.items()}


def test_answers_that_are_equal_are_each_of_its_start(odd, replay):
    """A station that counts message ids from 1 after each start, a CSMS with one id for all."""
    found = sessions_of(odd, replay, "equal", {str(id): [
        start_of(0, "1", 1, "T", 1000), answer_to(1, "1", id), stop_of(3600, "2", id, 1500),
        start_of(7200, "1", 1, "T", 1500), answer_to(7201, "1", id), stop_of(9000, "2", id, 2700)]
        for id in (0, -3, 9, "abc")})
    assert found == {case: [("T", 500, []), ("T", 1200, [])] for case in found}


def number(text):
    """A number that stands in the message exactly as written here."""
    return text if text.startswith('"') else f'"@{text}@"'


# What the CSMS gives, what the station says at the end, and whether these are one id.
IDS = [("9.0", "9", True), ("9", "9.0", True), ("9e0", "9", True), ("90e-1", "9.00", True),
       ("1E3", "1000", True), ("0.0", "0", True), ("-0.0", "0", True), ("0", "-0", True),
       ("-5.0", "-5", True), ("9007199254740993.0", "9007199254740993", True),
       ("9.5", "9.50", False), ("9.5", "9.5", True), ("9.5", "9", False), ('"9"', "9", True),
       ("9.0", '"9"', True), ('"9.0"', "9", False), ('"00"', "0", False), ('"00"', '"00"', True),
       ('"09"', "9", False), ('"-0"', "0", False), ('"-0"', '"-0"', True), ('""', '""', False)]


def test_whole_number_is_one_id_however_it_is_written(odd, replay):
    """A text counts as it is written."""
    cases = {}
    for given, said, same in IDS:
        first, second = (json.loads(number(text)) for text in (given, said))
        cases[f"{given}|{said}|{same}"] = [
            start_of(0, "a", 1, "T", 1000), answer_to(1, "a", first),
            (60, "in", [2, "m", "MeterValues", {
                "connectorId": 1, "transactionId": second, "meterValue": [{
                    "timestamp": "2026-01-31T10:01:00Z", "sampledValue": [{"value": "1100"}]}]}]),
            stop_of(3600, "b", second, 1500)]
    found = sessions_of(odd, replay, "written", cases)
    for (case, order), rows in found.items():
        joined = ("T", 500, []) in rows
        assert joined == case.endswith("True"), (case, order, rows)
        assert len(rows) == (1 if joined else 1 if case.startswith('""') else 2), (case, rows)
    assert odd.rows("SELECT DISTINCT s.transaction_id, m.transaction_id FROM sessions s"
                    " JOIN meter_values m USING (charge_station_id)"
                    " WHERE s.charge_station_id LIKE 'written 9.0|9|%'") == [("9", "9")]


LOOK_ALIKE = [(0, 5000, 4000), (1000, 6000, 9000), (1000, 6000, 6000), (7, 7, 7)]


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_sessions_that_look_alike_to_a_station_without_a_clock_are_two(odd, replay, version):
    """Starts of equal content and invalid times; what lies between them tells them apart from one
    that is sent again."""
    def event(after, number, kind, seq, meter, at=INVALID[0]):
        return (after, "in", [2, f"{kind}{number}", "TransactionEvent", {
            "eventType": kind, "timestamp": at, "seqNo": seq, "triggerReason": "Authorized",
            "evse": {"id": 1}, "idToken": {"idToken": "T", "type": "Local"},
            "transactionInfo": {"transactionId": "9"},
            "meterValue": [{"timestamp": at, "sampledValue": [{"value": meter}]}]}])

    def started(after, number, id, meter):
        if version != "1.6":
            return [event(after, number, "Started", 0, meter)]
        after, way, message = start_of(after, f"s{number}", 1, "T", meter)
        message[3]["timestamp"] = INVALID[0]
        return [(after, way, message), answer_to(after + 1, f"s{number}", id)]

    def ended(after, number, id, meter, at=INVALID[0]):
        if version != "1.6":
            return [event(after, number, "Ended", 1, meter, at)]
        after, way, message = stop_of(after, f"e{number}", id, meter, "T")
        message[3]["timestamp"] = at
        return [(after, way, message)]

    histories, expected = {}, {}
    for id, (begin, first, second), valid in itertools.product(
            (0, 9, -3) if version == "1.6" else (9,), LOOK_ALIKE, (False, True)):
        ends = [f"2026-01-31T{hour}:59:59Z" if valid else INVALID[0] for hour in (10, 12)]
        name = f"{id}|{first}|{second}|{valid}"
        histories[name] = [
            *started(0, 1, id, begin), *ended(3599, 1, id, first, ends[0]),
            *started(7200, 2, id, begin), *ended(10799, 2, id, second, ends[1])]
        expected[name] = sorted([first - begin, second - begin])
        # Sent again, since its answer was lost: one session.
        histories[name + "|again"] = [
            *started(0, 1, id, begin), *started(1800, 2, id, begin),
            *ended(3599, 1, id, first, ends[0])]
        expected[name + "|again"] = [first - begin]
    for (name, order), rows in sessions_of(odd, replay, "alike" + version, histories,
                                           version).items():
        assert sorted(energy for _, energy, _ in rows) == expected[name], (name, order, rows)
        assert all(flags == ["time_invalid"] for _, _, flags in rows), (name, order, rows)


def test_end_that_is_sent_again_with_another_time_ends_nobody_else(odd, replay):
    begin = [start_of(0, "a", 1, "ALICE", 1000), answer_to(1, "a", 9),
             start_of(1800, "b", 2, "BOB", 5000), answer_to(1801, "b", 9),
             stop_of(3600, "c", 9, 1500, "ALICE")]
    found = sessions_of(odd, replay, "again", {
        "charging": [*begin, stop_of(3900, "d", 9, 1500, "ALICE")],
        "before": [*begin, stop_of(3900, "d", 9, 1500, "ALICE"),
                   stop_of(7200, "e", 9, 14000, "BOB")],
        "after": [*begin, stop_of(7200, "e", 9, 14000, "BOB"),
                  stop_of(7500, "d", 9, 1500, "ALICE")]})
    assert found == {case: [
        ("ALICE", 500, ["duplicate_stop"]), ("BOB", None if case[0] == "charging" else 9000, [])]
        for case in found}


def test_start_that_turns_out_not_to_be_answered_is_of_no_session(odd, replay):
    """An answer after 90 s is of the only call of its message id; not if there is another one."""
    found = sessions_of(odd, replay, "late", {
        f"{id}{other}": [start_of(0, "1", 1, "T", 1000), answer_to(90, "1", id),
                         stop_of(3600, "2", id, 1500), *more]
        for id in (9, 0, "abc") for other, more in {
            "alone": [], "call": [start_of(7200, "1", 1, "T", 5000)],
            "result": [answer_to(400, "1", 77)]}.items()})
    assert found == {case: [("T", 500, [])] if case[0].endswith("alone") else [(None, None, [])]
                     for case in found}


CHAINS = {  # each half is within pairing.keep (7 days) of the next one only
    "calls": [(0, "Authorize", "A"), (5, "Authorize", "B"), (10, "result", "Accepted")],
    "results": [(0, "Authorize", "A"), (5, "result", "Blocked"), (10, "result", "Accepted")],
    "call after": [(0, "Authorize", "A"), (3, "result", "Blocked"), (9, "Authorize", "B")],
    "result before": [(0, "result", "Blocked"), (5, "Authorize", "A"), (10, "Authorize", "B")],
    "beyond": [(0, "Authorize", "A"), (6, "result", "Accepted"), (14, "Authorize", "B")],
    "copies": [(0, "Authorize", "A"), (6, "result", "Accepted"), (6, "result", "Accepted")],
}


def test_late_answer_hangs_on_all_that_lies_within_reach(odd, replay):
    """A half may be too far from an answer, and near the call that would be the answer's."""
    cases = {}
    for name, halves in CHAINS.items():
        messages = [(day, "in", [2, "1", what, {"idTag": value}]) if what == "Authorize" else
                    (day, "out", [3, "1", {"idTagInfo": {"status": value}}])
                    for day, what, value in halves]
        for number, order in enumerate([messages, *itertools.permutations(messages)]):
            station = f"chain {name} {number}"
            lines = [captured(day * DAYS, message, station, direction=direction)
                     for day, direction, message in order]
            cases[station] = [[line] for line in lines] if number > 0 else [lines]
    replay_all(replay, cases)
    found = {}
    for station, token, status in odd.rows(
            "SELECT charge_station_id, id_token, status FROM authorizations"
            " WHERE charge_station_id LIKE 'chain %'"):
        found.setdefault(station, {})[token] = status
    expected = {"beyond": {"A": "Accepted", "B": None}, "copies": {"A": "Accepted"}}
    for station in cases:
        name = station.split(" ", 1)[1].rsplit(" ", 1)[0]
        assert found[station] == expected.get(name, dict.fromkeys(found[station])), station


def test_answers_to_events_that_were_sent_again_are_matched(odd, replay):
    """However they come; what really lacks its call is reported all the same."""
    info = {"idTagInfo": {"status": "Accepted"}}
    stop = stop_of(3600, "", 9, 1500, "T")[2][3]
    event = {"eventType": "Updated", "timestamp": "2026-01-31T10:00:00Z", "seqNo": 1,
             "triggerReason": "Trigger", "transactionInfo": {"transactionId": "T"}}
    histories = {
        "1.6": [start_of(0, "a", 1, "T", 1000), *((at, *start_of(0, id, 1, "T", 1000)[1:])
                                                  for at, id in ((60, "b"), (120, "c"))),
                *((130, "out", [3, id, {"transactionId": 9, **info}]) for id in "abc"),
                (3600, "in", [2, "d", "StopTransaction", stop]),
                (3660, "in", [2, "e", "StopTransaction", stop]),
                (3661, "out", [3, "d", info]), (3662, "out", [3, "e", info]),
                (5000, "out", [3, "nobody's", info])],
        "2.0.1": [*((at, "in", [2, id, "TransactionEvent", event])
                    for at, id in ((0, "a"), (60, "b"), (120, "c"))),
                  *((130, "out", {"type": 3, "id": id, "action": "TransactionEvent",
                                  "response": {"totalCost": 3}}) for id in "abc"),
                  (5000, "out", {"type": 3, "id": "nobody's", "action": "TransactionEvent",
                                 "response": {"totalCost": 3}})]}
    stations = replay_in_all_orders(replay, "resent", {version: (version, messages)
                                                       for version, messages in histories.items()})
    assert odd.rows("SELECT charge_station_id, message_id, reason FROM unmatched_events"
                    " WHERE charge_station_id LIKE 'resent %' ORDER BY 1") == [
        (station, "nobody's", "result without a call") for station in stations]


# ---- defaults ----

ENERGY = "Energy.Active.Import.Register"
# A sample without a measurand, or with one: what it is then. The unit of 2.x is in unitOfMeasure.
UNSTATED = [({}, ENERGY), ({"unit": "Wh"}, ENERGY), ({"unit": "kWh"}, ENERGY),
            ({"unit": "MWh"}, ENERGY), ({"context": "Transaction.Begin"}, ENERGY),
            ({"location": "Body", "format": "Raw", "customData": {"vendorId": "V"}}, ENERGY),
            ({"measurand": None, "color": None}, ENERGY),
            ({"unit": "A"}, None), ({"unit": "varh"}, None), ({"unit": "Percent"}, None),
            ({"unit": "Celcius"}, None), ({"unit": "wh"}, None), ({"unit": ""}, None),
            ({"mesurand": "Current.Import", "unit": "A"}, None), ({"mesurand": "Voltage"}, None),
            ({"Measurand": "Voltage"}, None), ({"type": 1, "unit": "Wh"}, None),
            ({"measurand": {"name": "Voltage"}}, None), ({"unit": {"name": "V"}}, None),
            ({"mesurand": "x", "measurand": ENERGY}, ENERGY),
            ({"unit": "A", "measurand": ENERGY}, ENERGY),
            ({"unit": "A", "measurand": "Current.Import"}, "Current.Import")]


def unstated(more, version):
    more = dict(more)
    if version != "1.6" and isinstance(more.get("unit"), str):
        more["unitOfMeasure"] = {"unit": more.pop("unit")}
    return more


@pytest.mark.parametrize("layouts", [32, 1])
def test_default_is_a_default_only_where_nothing_contradicts_it(odd, tmp_path, layouts):
    """As a layout that is known, and in the row itself where the station has too many of them."""
    lines, expected = [], {}
    for version, (number, (more, measurand)) in itertools.product(
            ["1.6", "2.0.1", "2.1"], enumerate(UNSTATED)):
        # Layouts that many stations share are never refused.
        station = f"default {layouts} {version}"
        at = f"2026-01-31T10:{number:02}:00Z"
        value = "1.64" if version == "1.6" else 1.64
        lines.append(captured(number, [2, str(number), "MeterValues", {
            "connectorId" if version == "1.6" else "evseId": 1, "meterValue": [{
                "timestamp": at, "sampledValue": [
                    {"value": value, "phase": f"L{layouts}", **unstated(more, version)}]}]}],
            station, version))
        expected[station, number] = measurand
    path = tmp_path / "defaults.txt"
    path.write_text("".join(lines))
    done = run_cli({**odd.settings(), "layouts.per_station_max": layouts}, "replay", str(path))
    assert done.returncode == 0, done.stderr
    found = {(station, minute): measurand for station, minute, measurand in odd.rows(
        "SELECT charge_station_id, extract(minute FROM event_time)::integer, measurand"
        " FROM meter_samples WHERE charge_station_id LIKE %s", f"default {layouts} %")}
    assert found == expected
    kept = odd.value("SELECT count(*) FILTER (WHERE layout_id = 0) FROM meter_values"
                     " WHERE charge_station_id LIKE %s", f"default {layouts} %")
    assert (kept > 0) == (layouts == 1)


def test_reading_of_a_session_is_no_current(odd, replay):
    """Readings of start and end, by versions of OCPP that have them in the events."""
    lines, expected = [], {}
    for version, (number, (more, measurand)) in itertools.product(
            ["2.0.1", "2.1"], enumerate(UNSTATED)):
        station, unit = f"reading {version} {number}", more.get("unit")
        for at, kind, value in [(0, "Started", 100), (60, "Ended", 350)]:
            lines.append(captured(at, [2, kind, "TransactionEvent", {
                "eventType": kind, "timestamp": f"2026-01-31T10:{at // 60:02}:00Z", "seqNo": at,
                "triggerReason": "Authorized", "transactionInfo": {"transactionId": "T"},
                "meterValue": [{"timestamp": f"2026-01-31T10:{at // 60:02}:00Z", "sampledValue": [
                    {"value": value, **{k: v for k, v in unstated(more, version).items()
                                        if k != "context"}}]}]}], station, version))
        energy = measurand == ENERGY and unit != "A"
        expected[station] = 250 * {"kWh": 1000, "MWh": 1000000}.get(unit, 1) if energy else None
    replay(lines)
    assert dict(odd.rows("SELECT charge_station_id, energy_wh::bigint FROM sessions"
                         " WHERE charge_station_id LIKE 'reading%'")) == expected


def test_store_reads_no_current_as_energy(odd):
    for version, (more, measurand) in itertools.product(["1.6", "2.1"], UNSTATED):
        found = odd.value("SELECT energy_register(%s::jsonb) IS NOT NULL", json.dumps(
            [{"value": "1.64", **unstated(more, version)}]))
        assert found == (measurand == ENERGY and more.get("unit") != "A"), more


def test_version_that_nobody_knows_is_logged(odd, tmp_path):
    path = tmp_path / "versions.txt"
    path.write_text("".join(captured(n, [2, "1", "Heartbeat", {}], f"version {version}", version)
                            for n, version in enumerate(["1.6J", "3.0", "4.0"])))
    done = run_cli(odd.settings(), "replay", str(path))
    assert done.returncode == 0, done.stderr
    assert re.findall("event=unknown_version.* version=\"([^\"]*)", done.stderr) == ["3.0"]
    assert odd.rows("SELECT ocpp_version FROM ocpp_events WHERE charge_station_id LIKE 'version %'"
                    " ORDER BY 1") == [("1.6",), ("3.0",), ("4.0",)]
