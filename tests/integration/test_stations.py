"""ocpp-stations against a real broker: what it publishes is what its ledger says."""

import collections
import datetime
import decimal
import json
import pathlib
import re
import signal
import subprocess
import time

import pytest
import rig
from stations_facts import facts_of, is_told, with_numbers_as_text
from stations_rig import (DEADLINE_S, STATIONS, Ledger, Run, Subscriber, decode, identities,
                          identity, ledger_identities)


@pytest.fixture
def subscriber(broker):
    it = Subscriber(broker)
    yield it
    it.close()


@pytest.fixture(scope="module")
def long_run(workspace):
    """What a subscriber got of 40,000 messages, and their ledger."""
    folder = pathlib.Path(workspace.folder("long"))
    broker = rig.Broker(workspace, name="long_broker").start()
    subscriber = Subscriber(broker)
    run = Run(broker, folder, "--rate", "0", "--messages", "40000", "--duplicates", "5",
              "--reorder", "5").wait()
    messages = subscriber.wait_count(40000)
    subscriber.close()
    broker.stop()
    return messages, run.ledger


def test_everything_in_the_ledger_arrives_and_nothing_else(broker, subscriber, tmp_path):
    run = Run(broker, tmp_path, "--rate", "0", "--messages", "5000").wait()
    messages = subscriber.wait_count(5000)
    ledger = run.ledger
    assert identities(messages) == ledger_identities(ledger)
    assert ledger.acknowledged == set(ledger.messages) == set(range(1, 5001))
    assert {message.qos for message in messages} == {1}
    assert ledger.lines[0]["ledger"] == 1 and ledger.lines[0]["seed"] == 42
    assert ledger.lines[-1]["end"] is True and ledger.lines[-1]["published"] == 5000
    assert len({line["topic"].split("/")[3] for line in ledger.messages.values()}) == 200


def test_summary_adds_up(broker, subscriber, tmp_path):
    run = Run(broker, tmp_path, "--rate", "0", "--messages", "3000", "--duplicates", "5").wait()
    summary, ledger = run.summary, run.ledger
    actions = collections.Counter(line["action"] for line in ledger.messages.values())
    assert summary["published"] == summary["acknowledged"] == summary["mqtt_messages"] == 3000
    assert summary["actions"] == actions
    assert summary["duplicates"] == sum("dup_of" in line for line in ledger.messages.values()) > 0
    assert summary["republished"] == summary["reconnects"] == summary["refused"] == 0
    assert summary["seconds"] > 0 and summary["cpu_seconds"] > 0
    assert summary["messages_per_second"] > 0


def test_properties_are_those_of_maeve(broker, subscriber, tmp_path):
    Run(broker, tmp_path, "--rate", "0", "--messages", "8000").wait()
    traces = {}
    for message in subscriber.wait_count(8000):
        _, direction, version, station = message.topic.split("/")
        properties = message.properties
        is_json = message.payload[:1] == b"{"
        if direction == "in":
            assert properties.ContentType == "application/" + ("json" if is_json else "msgpack")
            assert properties.ResponseTopic == f"cs/out/{version}/{station}"
        else:
            assert not hasattr(properties, "ContentType")
            assert not hasattr(properties, "ResponseTopic")
        parent = json.loads(properties.CorrelationData)["traceparent"]
        match = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-01", parent)
        element = decode(message.payload)
        exchange = traces.setdefault((station, element["id"]), {})
        exchange[direction, element["type"]] = match.groups()
    answered = [e for e in traces.values() if ("in", "2") in e and ("out", "3") in e]
    asked = [e for e in traces.values() if ("out", "2") in e and ("in", "3") in e]
    assert len(answered) > 3000 and len(asked) > 5
    for exchange in answered:
        assert exchange["in", "2"][0] == exchange["out", "3"][0]
        assert exchange["in", "2"][1] != exchange["out", "3"][1]
    for exchange in asked:
        assert exchange["out", "2"][0] != exchange["in", "3"][0]


def test_facts_are_what_the_payloads_say(long_run):
    messages, ledger = long_run
    decoded = [(message.topic, decode(message.payload)) for message in messages]
    calls = {(topic.split("/")[3], element["id"]): element["request"]
             for topic, element in decoded if element["type"] == "2"}
    stated = {(line["topic"], line["kind"], line["id"]): line["facts"]
              for line in ledger.messages.values() if "facts" in line}
    kinds = collections.Counter()
    for topic, element in decoded:
        # A retry has a new id and no facts of its own; its call has them.
        if identity(topic, element) in stated and is_told(topic, element, calls):
            facts = facts_of(topic, element, calls)
            assert [with_numbers_as_text(fact) for fact in
                    stated[identity(topic, element)]] == facts
            kinds.update(fact["t"] for fact in facts)
    assert set(kinds) == {"meter_values", "transaction_events", "authorizations",
                          "authorization_results", "transaction_starts", "ocpp_events"}
    assert min(kinds.values()) > 100


def test_values_cover_what_stations_write(long_run):
    _, ledger = long_run
    facts = ledger.facts()
    samples = [(fact["station"], sample) for fact in facts if fact["t"] == "meter_values"
               for sample in fact["samples"]]
    texts = {sample["value"] for _, sample in samples}
    assert {"0.000", "0"} <= texts
    assert any(re.fullmatch(r"\d+\.\d*0", text) for text in texts)
    assert any("e" in text for text in texts)
    assert {len(fact["samples"]) for fact in facts if fact["t"] == "meter_values"} >= {1, 2, 6, 9}
    for key in ("measurand", "phase", "context", "location", "unit"):
        assert any(key in sample for _, sample in samples)
        assert any(key not in sample for _, sample in samples)
    assert {sample.get("multiplier") for _, sample in samples} == {None, 0, 3}
    statuses = {fact["status"] for fact in facts if fact["t"] == "authorization_results"}
    assert {"Accepted", "Invalid", "Blocked"} <= statuses
    assert "-1" in {fact["transaction"] for fact in facts if fact["t"] == "transaction_starts"}
    zones = {re.search(r"(Z|[+-]\d\d:\d\d)$", fact["time"])[1] for fact in facts if "time" in fact}
    assert {"Z", "+00:00", "+01:00", "-05:00"} <= zones
    assert {"call", "result", "error"} == {fact["kind"] for fact in facts
                                           if fact["t"] == "ocpp_events"}


def wh(sample):
    """A register in Wh."""
    power = sample.get("multiplier", 0) + (3 if sample.get("unit") == "kWh" else 0)
    return decimal.Decimal(sample["value"]).scaleb(power)


def test_registers_never_go_back(long_run):
    _, ledger = long_run
    readings = collections.defaultdict(list)
    for fact in ledger.facts():
        if fact["t"] == "meter_values" and fact["evse"] >= 0:
            at = datetime.datetime.fromisoformat(fact["time"].replace("Z", "+00:00"))
            readings[fact["station"], fact["evse"]].append((at, wh(fact["samples"][0])))
    assert len(readings) > 100
    for series in readings.values():
        values = [value for _, value in sorted(series)]
        assert values == sorted(values)


def test_sessions_are_what_their_messages_say(long_run):
    _, ledger = long_run
    versions = collections.Counter()
    for session in ledger.sessions:
        lines = [ledger.messages[number] for number in session["needs"]]
        facts = [fact for line in lines
                 for fact in ledger.messages[line.get("dup_of", line["m"])]["facts"]]
        events = [fact for fact in facts if fact["t"] == "transaction_events"]
        started = next(fact for fact in events if fact["event"] == "Started")
        ended = next(fact for fact in events if fact["event"] == "Ended")
        starts = [fact for fact in facts if fact["t"] == "transaction_starts"]
        registers = [wh(fact["samples"][0]) for fact in facts if fact["t"] == "meter_values"
                     and fact["source"] == "TransactionEvent"]
        is_16 = bool(starts)
        versions[is_16] += 1
        assert session["station"] == started["station"] == ended["station"]
        assert session["started"] == started["time"] and session["stopped"] == ended["time"]
        assert session["evse"] == started["evse"]
        assert session.get("reason") == ended.get("reason")
        assert session["token"] in {fact["token"] for fact in events if "token" in fact}
        assert session["transaction"] == ended["transaction"]
        if is_16:
            assert starts[-1]["transaction"] == session["transaction"]
            assert session["meter_start"] == started["meter_start"]
            assert session["meter_stop"] == ended["meter_stop"]
        elif registers:
            assert {decimal.Decimal(session[key]) for key in ("meter_start", "meter_stop")} == \
                {min(registers), max(registers)}
        else:
            assert "meter_start" not in session
    assert min(versions.values()) > 50


def test_sequence_numbers_of_a_transaction_have_no_gap(long_run):
    _, ledger = long_run
    needed = {(session["station"], session["transaction"]) for session in ledger.sessions}
    events = collections.defaultdict(list)
    for fact in ledger.facts():
        if fact["t"] == "transaction_events" and "seq" in fact:
            events[fact["station"], fact["transaction"]].append((fact["seq"], fact["event"]))
    ended = [sorted(events[key]) for key in needed & set(events)]
    assert len(ended) > 50
    for event in ended:
        first = event[0][0]
        assert event[0][1] == "Started" and event[-1][1] == "Ended"
        assert [seq for seq, _ in event] == list(range(first, first + len(event)))


def content(messages):
    return collections.Counter((message.topic, bytes(message.payload)) for message in messages)


def test_same_seed_same_messages(broker, subscriber, tmp_path):
    arguments = "--messages", "5000", "--duplicates", "5", "--reorder", "10"
    Run(broker, tmp_path, "--rate", "0", *arguments).wait()
    first = subscriber.wait_count(5000)
    Run(broker, tmp_path, "--rate", "20000", "--inflight", "7", "--connections", "3",
        *arguments).wait()
    second = subscriber.wait_count(10000)[5000:]
    assert content(first) == content(second)
    Run(broker, tmp_path, "--rate", "0", *arguments, seed=43).wait()
    third = subscriber.wait_count(15000)[10000:]
    assert content(first) != content(third)


def test_duplicates_are_copies_or_retries_under_a_new_id(broker, subscriber, tmp_path):
    run = Run(broker, tmp_path, "--rate", "0", "--messages", "10000", "--duplicates", "10").wait()
    payloads = collections.defaultdict(list)
    for message in subscriber.wait_count(10000):
        payloads[identity(message.topic, decode(message.payload))].append(message.payload)
    ledger = run.ledger
    copies = retries = 0
    for line in ledger.messages.values():
        if "dup_of" not in line:
            continue
        original = ledger.messages[line["dup_of"]]
        assert original["m"] < line["m"] and original["topic"] == line["topic"]
        assert "facts" not in line and "facts" in original
        theirs = payloads[original["topic"], original["kind"], original["id"]]
        if line["id"] == original["id"]:
            copies += 1
            assert len(theirs) == 2 and theirs[0] == theirs[1]
        else:
            retries += 1
            ours = payloads[line["topic"], line["kind"], line["id"]]
            assert line["kind"] == "call" and len(ours) == 1
            assert decode(ours[0])["request"] == decode(theirs[0])["request"]
    assert copies > 300 and retries > 100
    assert 0.04 < (copies + retries) / 10000 < 0.12


def answers_before_calls(messages):
    seen, early = set(), 0
    for message in messages:
        element = decode(message.payload)
        station = message.topic.split("/")[3]
        if element["type"] == "2":
            seen.add((station, element["id"]))
        else:
            early += (station, element["id"]) not in seen
    return early


def test_reorder_shuffles(broker, subscriber, tmp_path):
    Run(broker, tmp_path, "--rate", "0", "--messages", "2000").wait()
    assert answers_before_calls(subscriber.wait_count(2000)) == 0
    Run(broker, tmp_path, "--rate", "0", "--messages", "2000", "--reorder", "20").wait()
    assert answers_before_calls(subscriber.wait_count(4000)[2000:]) > 300


@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_batches_hold_several_envelopes(broker, subscriber, tmp_path, form):
    run = Run(broker, tmp_path, "--rate", "0", "--messages", "5000", "--shape", "batch",
              "--format", form).wait()
    messages = subscriber.wait_count(run.summary["mqtt_messages"])
    sizes = collections.Counter(len(decode(message.payload)) for message in messages)
    assert set(sizes) <= set(range(1, 9)) and len(sizes) > 4
    assert sum(size * count for size, count in sizes.items()) == 5000
    assert identities(messages) == ledger_identities(run.ledger)
    assert not any(hasattr(message.properties, "CorrelationData") for message in messages)
    assert run.ledger.acknowledged == set(range(1, 5001))


def test_frames_are_those_of_ocpp_j(broker, subscriber, tmp_path):
    run = Run(broker, tmp_path, "--rate", "0", "--messages", "5000", "--shape", "frame").wait()
    messages = subscriber.wait_count(5000)
    for message in messages:
        frame = decode(message.payload)
        assert len(frame) == {"2": 4, "3": 3, "4": 5}[frame[0]]
    assert identities(messages) == ledger_identities(run.ledger)
    for fact in run.ledger.facts():
        if fact["t"] == "ocpp_events":
            assert ("action" in fact) == (fact["kind"] == "call")


@pytest.mark.parametrize("arguments", [
    ("--qos", "0"), ("--qos", "2"), ("--mqtt", "3.1.1"), ("--mqtt", "3.1.1", "--qos", "0"),
    ("--connections", "5", "--inflight", "3"), ("--mix", "meter"), ("--format", "msgpack"),
    ("--stations", "1"), ("--prefix", "DE*SIM-", "--topic-prefix", "cs/x"),
])
def test_options_that_change_the_way_do_not_change_the_result(broker, subscriber, tmp_path,
                                                               arguments):
    run = Run(broker, tmp_path, "--rate", "0", "--messages", "3000", *arguments).wait()
    messages = subscriber.wait_count(3000)
    assert identities(messages) == ledger_identities(run.ledger)
    assert run.ledger.acknowledged == set(range(1, 3001))


def test_a_restart_of_the_broker_loses_nothing(broker, tmp_path):
    subscriber = Subscriber(broker)
    run = Run(broker, tmp_path, "--rate", "3000", "--stations", "50")
    run.wait_status(acknowledged=2000)
    broker.stop()
    broker.start()
    run.wait_status(reconnects=1, republished=1000)
    run.process.send_signal(signal.SIGTERM)
    run.wait()
    ledger = run.ledger
    assert ledger.acknowledged == set(ledger.messages)
    assert run.summary["reconnects"] == 1 and run.summary["republished"] > 0
    assert set(subscriber.wait_identities(ledger_identities(ledger))) == \
        set(ledger_identities(ledger))
    subscriber.close()


def test_what_nobody_subscribes_to_is_published_until_somebody_does(broker, tmp_path):
    run = Run(broker, tmp_path, "--rate", "0", "--messages", "1500")
    run.wait_status(published=1)
    subscriber = Subscriber(broker)
    run.wait()
    ledger = run.ledger
    assert ledger.acknowledged == set(ledger.messages) == set(range(1, 1501))
    assert run.summary["unrouted"] > 0 and run.summary["republished"] > 0
    subscriber.wait_identities(ledger_identities(ledger))
    subscriber.close()


def test_what_nobody_subscribes_to_is_not_acknowledged(broker, tmp_path):
    run = Run(broker, tmp_path, "--rate", "0", "--messages", "100", "--drain-seconds", "1")
    run.wait(code=1)
    assert "did not acknowledge" in run.errors
    assert run.ledger.acknowledged == set() and run.summary["acknowledged"] == 0
    assert len(run.ledger.messages) == 100
    run = Run(broker, tmp_path, "--rate", "0", "--messages", "100", "--accept-unrouted").wait()
    assert run.ledger.acknowledged == set(range(1, 101))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(broker, subscriber, tmp_path, number):
    run = Run(broker, tmp_path)
    run.wait_status(published=100)
    run.process.send_signal(number)
    run.wait()
    ledger = run.ledger
    assert ledger.lines[-1]["end"] is True
    assert ledger.acknowledged == set(ledger.messages)
    assert run.summary["published"] == len(ledger.messages) >= 100


def test_killed_it_leaves_a_ledger_of_all_it_published(broker, subscriber, tmp_path):
    run = Run(broker, tmp_path, "--rate", "5000")
    run.wait_status(published=5000, acknowledged=4000)
    run.process.kill()
    run.process.wait(DEADLINE_S)
    text = run.path.read_text()
    run.path.write_text(text[:text.rindex("\n") + 1])
    ledger = run.ledger
    acknowledged = ledger_identities(ledger, ledger.acknowledged)
    assert len(acknowledged) > 1000
    received = subscriber.wait_identities(acknowledged)
    assert set(received) <= set(ledger_identities(ledger))


def test_the_clock_paces_the_run(broker, subscriber, tmp_path):
    run = Run(broker, tmp_path, "--speedup", "600", "--seconds", "1", "--stations", "20").wait()
    times = sorted(fact["time"] for fact in run.ledger.facts()
                   if "time" in fact and fact["time"].endswith("Z"))
    assert times[0].startswith("2026-01-31T22:00")
    assert "2026-01-31T22:08" < times[-1] < "2026-01-31T22:11"


def test_the_rate_paces_the_run(broker, subscriber, tmp_path):
    begin = time.monotonic()
    run = Run(broker, tmp_path, "--rate", "2000", "--messages", "3001").wait()
    assert time.monotonic() - begin >= 1.5
    assert run.summary["seconds"] >= 1.5


def test_without_a_start_the_past_is_simulated(broker, subscriber, tmp_path):
    command = [STATIONS, "--broker", broker.url, "--seconds", "1", "--ledger",
               str(tmp_path / "l"), "--quiet", "--stations", "20"]
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE_S)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 120))
    times = [fact["time"] for fact in Ledger(tmp_path / "l").facts()
             if "time" in fact and fact["time"].endswith("Z")]
    assert times and all(before <= t <= now for t in times)


def test_a_broker_that_refuses_is_an_error(workspace, tmp_path):
    broker = rig.Broker(workspace, passwords={"gateway": "secret"}, name="refusing").start()
    arguments = "--messages", "100", "--rate", "0", "--accept-unrouted"
    run = Run(broker, tmp_path, *arguments).wait(code=3)
    assert "refuses the connection with reason 0x87" in run.errors
    run = Run(broker, tmp_path, *arguments, "--user", "gateway", "--password", "secret").wait()
    assert run.summary["acknowledged"] == 100
    broker.stop()


def test_a_broker_that_is_not_there_is_an_error(broker, tmp_path):
    broker.stop()
    run = Run(broker, tmp_path, "--messages", "10", "--connect-seconds", "0.5").wait(code=3)
    assert "could not reach the broker" in run.errors


@pytest.mark.parametrize("arguments, text", [
    (("--stations", "0"), '--stations does not take "0"'),
    (("--format", "xml"), '--format does not take "xml"'),
    (("--fast",), 'there is no option "--fast"'),
    (("--seed",), "--seed needs a value"),
    (("--prefix", "cs/"), "a prefix takes"),
    (("--topic-prefix", "cs/#"), "a prefix takes"),
    (("--broker", "http://x"), "is not the address of a broker"),
])
def test_wrong_arguments_are_named(arguments, text):
    result = subprocess.run([STATIONS, *arguments], capture_output=True, text=True,
                            timeout=DEADLINE_S)
    assert result.returncode in (2, 3)
    assert text in result.stderr
