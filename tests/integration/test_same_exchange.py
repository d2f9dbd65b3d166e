"""One exchange is stored once, whichever forms its messages come in, and every answer gets the name
of its call: for every action of the three versions, and for the golden corpus."""

import itertools
import json
import pathlib
import random

import pytest
from conftest import ROOT, make_database, run_cli
from forms import FORMS, settled, written
from test_actions import ACTIONS
from test_property import Load, contents

# For messages without a time of their own.
ARRIVED = {("connector_status", "event_time"), ("operation_status", "event_time"),
           ("charge_station_settings", "settings"), ("charge_station_settings", "last_updated"),
           ("charge_station_settings", "deleted_at"), ("charge_station_settings", "created_at")}
# Golden messages that are several, or that Python cannot write: numbers, halves of characters.
LEFT_OUT = {"1.6-in-batch", "1.6-in-truncated", "1.6-in-exact-decimals", "1.6-in-text"}


def exchange(number, version, action, initiator):
    """(direction, version, envelope): a call with a result, and one with an error."""
    other = {"in": "out", "out": "in"}[initiator]
    for kind in ("result", "error"):
        id = f"{initiator}{version}{action}{kind}"
        request = {"probe": id}
        if action == "MeterValues":
            request = {"connectorId" if version == "1.6" else "evseId": 1, "meterValue": [
                {"timestamp": f"2026-01-{1 + number % 28:02}T10:00:00Z",
                 "sampledValue": [{"value": f"{number}" if version == "1.6" else number}]}]}
        if action == "TransactionEvent":
            request = {"eventType": "Updated", "timestamp": "2026-01-31T10:00:00Z", "seqNo": number,
                       "triggerReason": "MeterValuePeriodic",
                       "transactionInfo": {"transactionId": f"T{number}"}}
        yield initiator, version, {"type": 2, "action": action, "id": id, "request": request}
        if kind == "result":
            yield other, version, {"type": 3, "action": action, "id": id,
                                   "response": {"status": "Accepted"}}
        else:
            yield other, version, {"type": 4, "action": action, "id": id,
                                   "error_code": "InternalError", "error_description": "no",
                                   "error_details": {} if number % 2 else {"why": "so"}}
            if version == "2.1":
                yield initiator, version, {"type": 5, "action": action, "id": id,
                                           "error_code": "FormatViolation",
                                           "error_description": "", "error_details": {}}


def actions():
    number = itertools.count()
    for version, names in ACTIONS.items():
        for initiator in ("in", "out"):
            for action in [*names, "OfAVendor"]:
                yield from exchange(next(number), version, action, initiator)


def golden():
    """What the corpus has as JSON, as envelopes that name their action, or that of their call."""
    calls, found = {}, []
    for path in sorted(pathlib.Path(ROOT, "tests", "golden").glob("[12]*.json")):
        if path.stem in LEFT_OUT:
            continue
        version, direction, _ = path.name.split("-", 2)
        message = settled(json.loads(path.read_text()))
        if isinstance(message, list):
            if not isinstance(message[0], int):
                continue
            names = {2: ["type", "id", "action", "request"], 3: ["type", "id", "response"]}.get(
                message[0], ["type", "id", "error_code", "error_description", "error_details"])
            message = dict(zip(names, message))
            if message["type"] == 6:
                message = {"type": 6, "id": message["id"], "action": path.stem, "request": {}}
        if message["type"] == 2:
            calls[direction, version, str(message["id"])] = message["action"]
        found.append((direction, version, message))
    other = {"in": "out", "out": "in"}
    return [(direction, version, {**m, "action": m.get("action") or calls.get(
        (direction if m["type"] == 5 else other[direction], version, str(m["id"])), "")})
        for direction, version, m in found]


def sent(messages, form):
    """[(topic, payload)]: each exchange at a station of its own. form: of a message."""
    return [(f"cs/{direction}/ocpp{version}/{m['id']}", written(m, form()))
            for direction, version, m in messages]


def state(database):
    return contents(database, ARRIVED)


@pytest.fixture
def load(postgres, broker, persister):
    return Load(postgres, broker, persister)


def take(load, messages, workers, rng=None):
    """A database that got these messages: (topic, payload)."""
    database = make_database(load.cluster)
    stations = {None: (None, messages)}
    load.take(database, workers, messages, stations, rng)
    return database


def unnamed(database):
    return database.rows("SELECT charge_station_id, kind, message_id, payload FROM ocpp_events"
                         " WHERE action = '' ORDER BY 1, 2, 3")


def differences(a, b):
    found = []
    for table in a:
        for station in a[table].keys() | b[table].keys():
            lines = [set(x[table].get(station, "").splitlines()) for x in (a, b)]
            found += [(table, line) for line in sorted(lines[0] ^ lines[1])]
            if lines[0] == lines[1] and a[table].get(station) != b[table].get(station):
                found.append((table, "twice"))
    return "\n".join(map(str, found))


def test_every_form_by_itself_gives_the_same_tables(load):
    """As they happened: each form alone, in order, gives what envelopes give."""
    messages = list(actions())
    reference = None
    for form in FORMS:
        database = take(load, sent(messages, lambda: form), [{"batch.messages_max": 50}])
        assert unnamed(database) == [], form
        if reference is None:
            reference = state(database)
        assert differences(reference, state(database)) == "", form


@pytest.mark.parametrize("seed", range(2))
def test_mixed_forms_shuffled_and_twice_give_the_tables_of_one_form_once(load, seed):
    messages, rng = [*actions(), *golden()], random.Random(seed)
    once = take(load, sent(messages, lambda: "envelope json"), [{}])
    twice = sent(messages * 2, lambda: rng.choice(FORMS))
    rng.shuffle(twice)
    mixed = take(load, twice, [{"batch.messages_max": rng.randint(7, 60)}, {}], rng)
    assert differences(state(once), state(mixed)) == ""
    assert unnamed(mixed) == unnamed(once)


# ---- by itself ----

def line(direction, at, message, station="cs001"):
    return {"topic": f"cs/{direction}/ocpp1.6/{station}", "payload": message,
            "received_at": f"2026-02-01T12:{at // 60:02}:{at % 60:02}Z"}


@pytest.fixture
def replay(migrated, tmp_path):
    numbers = itertools.count()

    def run(*lines, **settings):
        path = tmp_path / f"{next(numbers)}.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in lines))
        done = run_cli({**migrated.settings(), **settings}, "replay", "--json", str(path))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def answers(database):
    return database.rows("SELECT message_id, kind, action, payload, request FROM ocpp_events"
                         " WHERE kind <> 'call' ORDER BY received_at")


def test_envelope_and_then_the_array_from_a_log(migrated, replay):
    replay(line("in", 0, {"type": 3, "action": "GetLocalListVersion", "id": "g1",
                          "response": {"listVersion": 5}}))
    replay(line("in", 0, [3, "g1", {"listVersion": 5}]))
    assert answers(migrated) == [
        ("g1", "result", "GetLocalListVersion", {"listVersion": 5}, None)]


ANSWERS = [[3, "1", {"status": "Accepted"}], [4, "1", "InternalError", "", {}]]


@pytest.mark.parametrize("answer", ANSWERS)
def test_name_comes_from_the_call_or_a_copy_whichever_comes_first(migrated, replay, answer):
    """Each message of a station in a process of its own: nothing is known but what is stored."""
    call = line("out", 0, [2, "1", "Reset", {"type": "Soft"}])
    named = {"type": answer[0], "id": "1", "action": "Reset", "request": {"type": "Soft"}}
    if answer[0] == 3:
        named["response"] = answer[2]
    else:
        named["error_code"] = answer[2]
    kind = "result" if answer[0] == 3 else "error"
    payload = answer[2] if answer[0] == 3 else None
    answer, named = line("in", 1, answer), line("in", 1, named)
    for name, messages in [("o", [call, answer, named]), ("p", [call, answer])]:
        for part in zip(*itertools.permutations(messages)):
            replay(*({**one, "topic": one["topic"].replace("cs001", f"{name}{number}")}
                     for number, one in enumerate(part)))
    found = migrated.rows("SELECT charge_station_id, kind, action, payload, request"
                          " FROM ocpp_events WHERE kind <> 'call' ORDER BY 1")
    assert found == [(f"o{i}", kind, "Reset", payload, {"type": "Soft"}) for i in range(6)] + [
        (f"p{i}", kind, "Reset", payload, None) for i in range(2)]


def test_answer_to_a_bulk_call_of_another_process_is_named(migrated, replay):
    """Meter values have no half in the database unless an answer asks for it."""
    value = {"connectorId": 1, "meterValue": [{"timestamp": "2026-02-01T12:00:00Z",
                                               "sampledValue": [{"value": "1"}]}]}
    replay(line("out", 1, [4, "m1", "InternalError", "", {}]))
    assert answers(migrated) == [("m1", "error", "", None, None)]
    replay(line("in", 0, [2, "m1", "MeterValues", value]))
    assert answers(migrated) == [("m1", "error", "MeterValues", None, None)]


def test_calls_that_are_answered_by_name_leave_nothing_behind(migrated, replay):
    """A half of each would cost as much as the call."""
    lines = [x for i in range(3000) for x in (
        line("in", i, [2, f"h{i}", "Heartbeat", {}]),
        line("out", i, [3, f"h{i}", {"currentTime": f"2026-02-01T12:00:00.{i:06}Z"}]))]
    replay(*lines)
    assert migrated.rows("SELECT DISTINCT action FROM ocpp_events") == [("Heartbeat",)]
    assert migrated.value("SELECT count(*) FROM exchange_halves") <= 500


def test_answers_that_name_different_actions_are_two(migrated, replay):
    """From a CSMS that begins its message ids at 1 each time."""
    for _ in range(2):
        replay(*(line("in", at, {"type": 3, "id": "1", "action": action,
                                 "response": {"status": "Accepted"}})
                 for at, action in [(1, "Reset"), (3, "ClearCache")]))
    assert [row[2] for row in answers(migrated)] == ["Reset", "ClearCache"]


def test_nearer_call_that_comes_later_renames_an_answer(migrated, replay):
    for one in [line("in", 3, [3, "1", {"status": "Accepted"}]),
                line("out", 0, [2, "1", "Reset", {"type": "Soft"}]),
                line("out", 2, [2, "1", "ClearCache", {}])]:
        replay(one)
    assert [row[2] for row in answers(migrated)] == ["ClearCache"]


def test_answer_to_what_is_not_stored_is_not_stored(migrated, replay):
    done = replay(line("in", 0, [2, "1", "Heartbeat", {}]),
                  line("out", 1, [3, "1", {"currentTime": "2026-02-01T12:00:01Z"}]),
                  **{"events.skip": "Heartbeat"})
    assert done["skipped"] == 2 and answers(migrated) == []


@pytest.mark.parametrize("message, former", [
    ({"type": 3, "action": "ChangeConfiguration", "id": "0b0c6f4e-2b0f-4c5e-9f43-0b8a7c0c8c55",
      "response": {"status": "Accepted"}}, -528441308521455554),
    ({"type": 4, "action": "ChangeConfiguration", "id": "0b0c6f4e-2b0f-4c5e-9f43-0b8a7c0c8c56",
      "error_code": "NotSupported", "error_description": "nope"}, -6312708469560740029)])
def test_what_the_version_before_has_stored_is_recognised(migrated, replay, message, former):
    """Its digests had the action in them (tests/golden, as it was then)."""
    replay(line("in", 0, message))
    migrated.rows("UPDATE ocpp_events SET digest = %s", former)
    assert replay(line("in", 0, message))["stored"] == 0
    assert replay(line("in", 5, message))["stored"] == 0
    assert migrated.value("SELECT count(*) FROM ocpp_events") == 1
