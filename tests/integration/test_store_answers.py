"""What the store learns from stations' answers to the CSMS."""

import base64
import hashlib
import itertools
import json
import random
import subprocess

import pytest
from conftest import make_database, run_cli, stored
from test_store_messages import kept

STATION = "cs001"


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """Two certificates as text, the first with its id."""
    folder = tmp_path_factory.mktemp("pem")
    made = []
    for name in "ab":
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / "key",
                        "-out", folder / name, "-days", "9", "-subj", f"/CN={name}"],
                       check=True, capture_output=True)
        made.append((folder / name).read_text())
    der = base64.b64decode("".join(made[0].splitlines()[1:-1]))
    return "".join(made), hashlib.sha256(der).hexdigest()


_ids = itertools.count(1)


def exchange(action, request, response, second, version="2.0.1", named=True, repeated=False,
             answer_id=None):
    """A call of the CSMS and the station's answer one second later, as lines of a capture."""
    id = str(next(_ids))

    def line(direction, at, message):
        return {"received_at": f"2026-01-31T10:{at // 60:02}:{at % 60:02}Z", "payload": message,
                "topic": f"cs/{direction}/ocpp{version}/{STATION}"}

    answer = {"type": 3, "id": answer_id or id, "response": response}
    if named:
        answer["action"] = action
    if repeated:
        answer["request"] = request
    call = line("out", second, {"type": 2, "action": action, "id": id, "request": request})
    return ([] if repeated else [call]) + [line("in", second + 1, answer)]


def variable(component, name, **more):
    return {"component": {"name": component}, "variable": {"name": name}, **more}


@pytest.fixture
def replay(tmp_path):
    numbers = itertools.count()

    def run(database, lines, *options):
        path = tmp_path / f"{next(numbers)}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        done = run_cli(database.settings(), "replay", "--json", *options, str(path))
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert summary["dead_lettered"] == 0, summary
        return summary

    return run


def settings(database):
    return {key: (value.get("Value"), value["Status"]) for row, in database.rows(
        "SELECT settings FROM charge_station_settings WHERE NOT deleted")
        for key, value in row.items()}


@pytest.mark.parametrize("named, repeated", [(True, False), (False, False), (True, True)])
def test_configuration_of_1_6(migrated, replay, named, repeated):
    def change(key, value, status, second):
        return exchange("ChangeConfiguration", {"key": key, "value": value}, {"status": status},
                        second, "1.6", named, repeated)

    replay(migrated, change("HeartbeatInterval", "60", "Accepted", 0)
           + change("Odd", "1", "NotSupported", 10)
           + change("HeartbeatInterval", "5", "Rejected", 20)
           + exchange("GetConfiguration", {"key": ["A"]}, {
               "configurationKey": [{"key": "A", "readonly": True, "value": "x"},
                                    {"key": "B", "readonly": False}], "unknownKey": ["C"]},
                      30, "1.6", named, repeated))
    assert settings(migrated) == {
        "HeartbeatInterval": ("60", "Rejected"), "Odd": (None, "NotSupported"),
        "A": ("x", "Accepted")}  # B was set without a value


@pytest.mark.parametrize("named", [True, False])
def test_variables_of_2_0_1(migrated, replay, named):
    first = [variable("OCPPCommCtrlr", "HeartbeatInterval", attributeValue="60"),
             variable("A", "B", attributeType="Target", attributeValue="1"),
             {"component": {"name": "Connector", "instance": "i", "evse": {"id": 1,
                            "connectorId": 2}}, "variable": {"name": "V", "instance": "j"},
              "attributeValue": "2"}]
    results = [{name: value for name, value in v.items() if name != "attributeValue"}
               | {"attributeStatus": status}
               for v, status in zip(first, ["Accepted", "Rejected", "RebootRequired"])]
    replay(migrated, exchange("SetVariables", {"setVariableData": first},
                              {"setVariableResult": results[::-1]}, 0, named=named)
           + exchange("GetVariables", {"getVariableData": [variable("X", "Y"), variable("X", "Z")]},
                      {"getVariableResult": [
                          variable("X", "Y", attributeStatus="Accepted", attributeValue="y"),
                          variable("X", "Z", attributeStatus="UnknownVariable")]}, 9, named=named))
    assert settings(migrated) == {
        "OCPPCommCtrlr/HeartbeatInterval": ("60", "Accepted"), "A/B:Target": (None, "Rejected"),
        "Connector[i]@1.2/V[j]": ("2", "RebootRequired"), "X/Y": ("y", "Accepted")}


# Answers to changes, by the standard: whether the station has set the value.
OUTCOMES = [(action, status, status in ("Accepted", "RebootRequired"))
            for action, statuses in {
                "ChangeConfiguration": ["Accepted", "Rejected", "RebootRequired", "NotSupported",
                                        "accepted", "Odd"],
                "SetVariables": ["Accepted", "Rejected", "UnknownComponent", "UnknownVariable",
                                 "NotSupportedAttributeType", "RebootRequired"]}.items()
            for status in statuses]


@pytest.mark.parametrize("known", ["nothing", "earlier", "later"])
def test_only_an_accepted_change_sets_a_value(migrated, replay, known):
    """In whatever order and batches they come; the outcome is reported in any case."""
    def change(action, key, value, status, second):
        v = variable("C", key)
        return (exchange(action, {"key": "C/" + key, "value": value}, {"status": status}, second,
                         "1.6") if action == "ChangeConfiguration" else
                exchange(action, {"setVariableData": [{**v, "attributeValue": value}]},
                         {"setVariableResult": [{**v, "attributeStatus": status}]}, second))

    lines, expected = [], {}
    for action, status, sets in OUTCOMES:
        key = action + status
        lines += change(action, key, "new", status, 100)
        expected["C/" + key] = ("new" if sets else None, status)
        if known != "nothing":
            lines += change(action, key, "old", "Accepted", 0 if known == "earlier" else 200)
            expected["C/" + key] = (("new" if sets else "old", status) if known == "earlier"
                                    else ("old", "Accepted"))
    for attempt, parts in enumerate(([lines], [lines[::-1]], [lines[:25], lines[25:]],
                                     [lines[25:], lines[:25]])):
        replay(migrated, [{**line, "topic": line["topic"].replace(STATION, f"s{attempt}")}
                          for line in parts[0]])
        for part in parts[1:]:
            replay(migrated, [{**line, "topic": line["topic"].replace(STATION, f"s{attempt}")}
                              for line in part])
    rows = migrated.rows("SELECT settings FROM charge_station_settings ORDER BY charge_station_id")
    assert len(rows) == 4
    for row, in rows:
        assert {key: (value.get("Value"), value["Status"])
                for key, value in row.items()} == expected
    assert [row for row, in rows] == [rows[0][0]] * 4


def test_value_that_was_refused_after_a_delete_is_not_that_of_before(migrated, replay):
    lines = [
        *exchange("ChangeConfiguration", {"key": "K", "value": "1"}, {"status": "Accepted"}, 0,
                  "1.6"),
        {"received_at": "2026-01-31T10:00:30Z", "topic": "cs/store/setting",
         "payload": {"op": "delete", "charge_station_id": STATION}},
        *exchange("ChangeConfiguration", {"key": "K", "value": "2"}, {"status": "Rejected"}, 60,
                  "1.6")]
    for order in ([lines], [lines[::-1]], [[x] for x in lines], [[x] for x in lines[::-1]]):
        for part in order:
            replay(migrated, part)
        assert settings(migrated) == {"K": (None, "Rejected")}
        migrated.rows("TRUNCATE charge_station_settings, ocpp_events, exchange_halves")


def test_other_keys_stay(migrated, replay):
    assert run_cli(migrated.settings(), "store", "setting", "set", f"charge_station_id={STATION}",
                   "key=Mine", "value=1", "status=Pending").returncode == 0
    replay(migrated, exchange("SetVariables", {"setVariableData": [
        variable("A", "B", attributeValue="1")]}, {"setVariableResult": [
            variable("A", "B", attributeStatus="Accepted")]}, 0))
    assert settings(migrated) == {"Mine": ("1", "Pending"), "A/B": ("1", "Accepted")}


def test_trigger_that_was_accepted_is_done(migrated, replay):
    def told(second):
        return {"received_at": f"2026-01-31T10:00:{second:02}Z", "topic": "cs/store/trigger",
                "payload": {"op": "set", "charge_station_id": STATION, "status": "Pending",
                            "message_type": "Heartbeat"}}

    def trigger(status, second):
        return exchange("TriggerMessage", {"requestedMessage": "Heartbeat", "connectorId": 2},
                        {"status": status}, second, "1.6")

    def found():
        return migrated.rows("SELECT message_type, status, connector_id"
                             " FROM charge_station_triggers WHERE NOT deleted")

    replay(migrated, [told(0)] + trigger("Rejected", 1))
    assert found() == [("Heartbeat", "Rejected", 2)]
    replay(migrated, trigger("Accepted", 10) + [told(5)])
    assert found() == []
    replay(migrated, [told(30)])
    assert found() == [("Heartbeat", "Pending", None)]


def test_certificates_have_the_outcome_of_their_installation(migrated, replay, pem):
    text, id = pem
    replay(migrated, exchange("InstallCertificate", {
        "certificateType": "V2GRootCertificate", "certificate": text}, {"status": "Rejected"}, 0)
        + exchange("InstallCertificate", {"certificateType": "X", "certificate": "none"},
                   {"status": "Accepted"}, 5))
    found = "SELECT certificate_id, certificate_type, status FROM charge_station_certificates"
    assert migrated.rows(found) == [(id, "V2GRootCertificate", "Rejected")]
    replay(migrated, exchange("CertificateSigned", {"certificateChain": text},
                              {"status": "Accepted"}, 10))
    assert migrated.rows(found) == [(id, "ChargingStationCertificate", "Accepted")]


def test_answer_of_another_call_or_of_none_changes_nothing(migrated, replay):
    call, answer = exchange("ChangeConfiguration", {"key": "A", "value": "1"},
                            {"status": "Accepted"}, 0, "1.6")
    late = {**answer, "received_at": "2026-01-31T10:05:00Z"}
    other = exchange("Reset", {"type": "Soft"}, {"status": "Accepted"}, 0, "1.6", named=False)
    replay(migrated, [call, late] + other + [
        {**answer, "topic": f"cs/in/ocpp1.6/{STATION}x"}])
    assert settings(migrated) == {}


def half(direction, second, message, **more):
    return {"received_at": f"2026-01-31T10:00:{second:02}Z", "payload": message,
            "topic": f"cs/{direction}/ocpp1.6/{STATION}", **more}


def change(key, second, **more):
    return half("out", second, {"type": 2, "action": "ChangeConfiguration", "id": "7",
                                "request": {"key": key, "value": "1"}}, **more)


def accepted(second, **more):
    return half("in", second, {"type": 3, "action": "ChangeConfiguration", "id": "7",
                               "response": {"status": "Accepted"}}, **more)


def test_call_and_answer_of_different_traces_are_no_pair(migrated, replay):
    replay(migrated, [change("A", 0, trace="1" * 32), change("B", 5, trace="2" * 32),
                      accepted(6, trace="1" * 32)])
    assert settings(migrated) == {"A": ("1", "Accepted")}
    replay(migrated, [change("C", 7)])
    assert settings(migrated) == {"A": ("1", "Accepted"), "C": ("1", "Accepted")}


def test_answer_counts_for_each_call_of_its_id_in_any_order(postgres, replay):
    lines = [change("A", 0), change("B", 10), accepted(11)]
    for order in itertools.permutations(lines):
        database = make_database(postgres)
        assert run_cli(database.settings(), "migrate", "up").returncode == 0
        for line in order:
            replay(database, [line])
        assert settings(database) == {"A": ("1", "Accepted"), "B": ("1", "Accepted")}


@pytest.mark.parametrize("same", [False, True])
def test_thousands_of_variables_in_one_message(migrated, replay, same):
    names = ["V" if same else f"V{number}" for number in range(5000)]
    replay(migrated, exchange(
        "SetVariables", {"setVariableData": [variable("C", name, attributeValue="1")
                                             for name in names]},
        {"setVariableResult": [variable("C", name, attributeStatus="Accepted")
                               for name in names]}, 0))
    assert settings(migrated) == {f"C/{name}": ("1", "Accepted") for name in names}


def test_halves_at_two_workers_find_each_other(migrated, broker, publish, persister):
    workers = [persister({**migrated.settings(), **broker.settings(), "mqtt.client_id": f"w{n}",
                          "mqtt.topics": "$share/w/cs/in/+/+,$share/w/cs/out/+/+"}).start()
               for n in range(2)]
    for worker in workers:
        worker.wait_event("broker_connected")
    wanted = {f"K{n}": (str(n), "Accepted" if n % 3 else "RebootRequired") for n in range(300)}
    halves = [("out", {"type": 2, "action": "ChangeConfiguration", "id": key,
                       "request": {"key": key, "value": value}})
              for key, (value, _) in wanted.items()]
    halves += [("in", {"type": 3, "action": "ChangeConfiguration", "id": key,
                       "response": {"status": status}}) for key, (_, status) in wanted.items()]
    random.Random(3).shuffle(halves)
    for direction, message in halves:
        publish.send(STATION, message, "1.6", direction)
    stored(migrated, 600, timeout=60)
    assert settings(migrated) == wanted
    assert migrated.value("SELECT count(*) FROM ingest_progress WHERE received > 0") == 2


@pytest.mark.parametrize("odd", [None, 5, "x", [], {}, [[]], [{}], [None], {"component": 5},
                                 [{"component": [], "variable": 7}], {"key": "x" * 300}])
def test_odd_payloads_tell_nothing_and_harm_nobody(migrated, replay, odd):
    lines = []
    for second, (action, request, response) in enumerate([
            ("ChangeConfiguration", ["key", "value"], ["status"]),
            ("GetConfiguration", [], ["configurationKey"]),
            ("SetVariables", ["setVariableData"], ["setVariableResult"]),
            ("GetVariables", [], ["getVariableResult"]),
            ("TriggerMessage", ["requestedMessage", "connectorId"], ["status"]),
            ("InstallCertificate", ["certificateType", "certificate"], ["status"]),
            ("CertificateSigned", ["certificateChain"], ["status"])]):
        lines += exchange(action, {name: odd for name in request} or {"a": odd},
                          {**{name: odd for name in response}, "more": 1}, second * 10)
        lines += exchange(action, {name: odd for name in request} or {"a": odd},
                          {"status": "Accepted"}, second * 10 + 5)
        lines += exchange(action, odd, odd, second * 10 + 7)
    replay(migrated, lines + exchange("ChangeConfiguration", {"key": "Good", "value": "1"},
                                      {"status": "Accepted"}, 100, "1.6"))
    assert settings(migrated)["Good"] == ("1", "Accepted")


def history(seed, pem):
    r = random.Random(seed)
    lines = []
    for second in range(0, 240, 3):
        value, status = r.choice("123"), r.choice(["Accepted", "Rejected", "RebootRequired"])
        lines += r.choice([
            lambda: exchange("ChangeConfiguration", {"key": r.choice("ab"), "value": value},
                             {"status": status}, second, "1.6", named=r.random() < 0.5),
            lambda: exchange("TriggerMessage", {"requestedMessage": "Heartbeat"},
                             {"status": status}, second),
            lambda: exchange("InstallCertificate", {"certificateType": "T", "certificate": pem},
                             {"status": status}, second),
            lambda: [{"received_at": f"2026-01-31T10:{second // 60:02}:{second % 60:02}Z",
                      "topic": "cs/store/setting",
                      "payload": r.choice([
                          {"op": "set", "charge_station_id": STATION, "key": r.choice("abc"),
                           "value": value, "status": "Pending"},
                          {"op": "delete", "charge_station_id": STATION}])}],
        ])()
    return lines


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_in_which_they_come_does_not_matter(migrated, postgres, replay, pem, seed):
    lines = history(seed, pem[0])
    replay(migrated, lines)
    again = replay(migrated, lines + lines[:5])
    assert again["stored"] == 0
    for number in range(2):
        other = make_database(postgres)
        assert run_cli(other.settings(), "migrate", "up").returncode == 0
        shuffled = random.Random(number).sample(lines, len(lines))
        for part in (shuffled,) if number else (shuffled[:30], shuffled[30:], shuffled[:20]):
            replay(other, part)
        assert kept(other) == kept(migrated)
    assert kept(migrated)["charge_station_settings"] and kept(migrated)["charge_station_triggers"]
