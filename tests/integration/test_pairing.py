"""Which call a result belongs to, whatever the order, the distance and the message ids."""

import itertools
import json

import psycopg
import pytest
import rig
from conftest import needs_failpoints, run_cli, stored

@pytest.fixture
def replay(tmp_path):
    numbers = itertools.count()

    def run(database, lines, settings=None):
        path = tmp_path / f"{next(numbers)}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        done = run_cli({**database.settings(), **(settings or {})}, "replay", "--json",
                       str(path))
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert summary["dead_lettered"] == 0, summary
        return summary

    return run


def line(direction, at, message, trace=None):
    minutes, seconds = divmod(at, 60)
    made = {"topic": f"cs/{direction}/ocpp1.6/cs001", "payload": message,
            "received_at": f"2026-01-31T{10 + int(minutes) // 60:02}:{int(minutes) % 60:02}:"
                           f"{seconds:09.6f}Z"}
    if trace:
        made["trace"] = trace * 32
    return made


def authorize(at, tag, id="1", trace=None):
    return line("in", at, [2, id, "Authorize", {"idTag": tag}], trace)


def outcome(at, status, id="1", trace=None, action="Authorize"):
    """As an envelope that names its action, or as an array that does not."""
    info = {"idTagInfo": {"status": status}}
    return line("out", at, {"type": 3, "action": action, "id": id, "response": info} if action
                else [3, id, info], trace)


def start(at, meter, id="1", tag="T", connector=1):
    return line("in", at, [2, id, "StartTransaction", {
        "connectorId": connector, "idTag": tag, "meterStart": meter,
        "timestamp": "2026-01-31T10:00:00Z"}])


def given(at, transaction, id="1", status="Accepted"):
    return line("out", at, [3, id, {"transactionId": transaction, "idTagInfo": {"status": status}}])


def outcomes(database, station="cs001"):
    return dict(database.rows("SELECT id_token, status FROM authorizations"
                              " WHERE charge_station_id = %s", station))


def meters(database, station="cs001"):
    return dict(database.rows(
        "SELECT transaction_id, meter_start::int FROM transactions"
        " WHERE started_at IS NOT NULL AND charge_station_id = %s", station))


def in_every_order(database, replay, lines, look):
    """What look() says of a station that got the lines one by one, each in a batch of its own:
    every different result once. Every order has a station of its own."""
    mixed, stations = [], []
    for order in itertools.permutations(lines):
        stations.append(f"order{len(stations)}")
        mixed += [{**one, "topic": one["topic"].replace("cs001", stations[-1])} for one in order]
    replay(database, mixed, {"batch.messages_max": 1})
    found = {json.dumps(look(database, station), sort_keys=True) for station in stations}
    return [json.loads(text) for text in found]


def test_one_message_id_all_day(migrated, replay):
    lines = [x for i in range(40) for x in (
        authorize(i * 2, f"T{i}"), outcome(i * 2 + 1, "Accepted" if i % 3 else "Blocked"))]
    replay(migrated, lines)
    assert outcomes(migrated) == {f"T{i}": "Accepted" if i % 3 else "Blocked" for i in range(40)}


@pytest.mark.parametrize("action", ["Authorize", None])
def test_answer_of_the_next_call_takes_the_place_of_a_wrong_one_in_any_order(
        migrated, replay, action):
    lines = [authorize(0, "A"), outcome(1, "Accepted", action=action), authorize(2, "B"),
             outcome(3, "Blocked", action=action)]
    assert in_every_order(migrated, replay, lines, outcomes) == [{"A": "Accepted", "B": "Blocked"}]


def test_answer_to_a_stop_is_not_that_of_an_authorize(migrated, replay):
    stop = {"transactionId": 7, "meterStop": 9, "timestamp": "2026-01-31T10:00:02Z"}
    replay(migrated, [authorize(0, "A"), outcome(1, "Accepted", action=None),
                      line("in", 2, [2, "1", "StopTransaction", stop]),
                      outcome(3, "Blocked", action=None)])
    assert outcomes(migrated) == {"A": "Accepted"}


def test_of_several_answers_the_last_counts(migrated, replay):
    lines = [authorize(0, "A"), outcome(1, "Accepted"), outcome(2, "ConcurrentTx")]
    assert in_every_order(migrated, replay, lines, outcomes) == [{"A": "ConcurrentTx"}]


def test_late_answer_is_paired_if_nothing_else_has_its_id(migrated, replay):
    replay(migrated, [authorize(0, "A"), start(0, 5, id="2"), outcome(300, "Accepted"),
                      given(90, 7, id="2")])
    assert outcomes(migrated) == {"A": "Accepted"}
    assert meters(migrated) == {"7": 5}


@pytest.mark.parametrize("other", [authorize(200, "B"), outcome(5000, "Blocked")])
def test_late_answer_is_not_paired_if_something_else_has_its_id(migrated, replay, other):
    lines = [authorize(0, "A"), outcome(300, "Accepted"), other]
    found = in_every_order(migrated, replay, lines, outcomes)
    assert found == [{key: None for key in found[0]}], found


@pytest.mark.parametrize("late", [90, 300])
def test_copy_of_an_answer_that_comes_with_another_call(migrated, replay, late):
    """In one batch: the copy must not hide that the answer had been another call's."""
    replay(migrated, [authorize(0, "A"), outcome(late, "Accepted")])
    assert outcomes(migrated) == {"A": "Accepted"}
    replay(migrated, [outcome(late, "Accepted"), authorize(late - 70, "B")])
    assert outcomes(migrated) == {"A": None, "B": None}


def test_late_answer_beside_copies_of_itself_and_of_its_call(migrated, replay):
    lines = [authorize(0, "A"), outcome(300, "Accepted"), authorize(20, "A"),
             outcome(303, "Accepted")]
    assert in_every_order(migrated, replay, lines, outcomes) == [{"A": "Accepted"}]


def test_of_one_trace_they_are_paired_whatever_the_distance(migrated, replay):
    lines = [authorize(0, "A", trace="a"), authorize(1, "B", trace="b"),
             outcome(2, "Accepted", trace="a"), outcome(500, "Blocked", trace="b")]
    assert in_every_order(migrated, replay, lines, outcomes) == [{"A": "Accepted", "B": "Blocked"}]


def test_starts_with_one_message_id_have_their_own_transactions(migrated, replay):
    lines = [start(0, 100), given(1, 5), start(2, 200, tag="U", connector=2), given(3, 6)]

    def look(database, station):
        return [meters(database, station), database.rows(
            "SELECT transaction_id, (SELECT min(e.meter_start)::int FROM transaction_events e"
            " WHERE e.digest = s.digest) FROM transaction_starts s WHERE charge_station_id = %s"
            " ORDER BY 1", station)]

    assert in_every_order(migrated, replay, lines, look) == [
        [{"5": 100, "6": 200}, [["5", 100], ["6", 200]]]]


# ---- partitions that somebody detached ----

TABLES_OF_ANSWERS = ["transaction_events", "transactions", "transaction_starts", "authorizations"]
# How a partition goes, and how it comes back.
DETACHED = ("ALTER TABLE {table} DETACH PARTITION {part}",
            "ALTER TABLE {table} ATTACH PARTITION {part} {bounds}")
MOVED = ("ALTER TABLE {part} SET SCHEMA attic", "ALTER TABLE attic.{part} SET SCHEMA ocpp")
DETACHED_AND_MOVED = (DETACHED[0] + ";" + MOVED[0], MOVED[1] + ";" + DETACHED[1])
# By then there is a new partition for the rows of the answer itself.
NEW = {"transactions", "transaction_starts"}
# A partition is found wherever it is.
FOUND = set(TABLES_OF_ANSWERS)


@pytest.mark.parametrize("way, at_once", [(DETACHED, set()), (MOVED, FOUND),
                                          (DETACHED_AND_MOVED, NEW)])
@pytest.mark.parametrize("table", TABLES_OF_ANSWERS)
def test_answer_to_a_call_in_a_detached_partition_is_linked_once_that_is_attached(
        migrated, running, publish, table, way, at_once):
    migrated.rows("CREATE SCHEMA attic")
    p = running()  # which has seen the partition before it is gone
    publish.raw("cs/in/ocpp1.6/cs001", json.dumps(start(0, 5, id="2")["payload"]))
    publish.raw("cs/in/ocpp1.6/cs001", json.dumps(authorize(0, "A")["payload"]))
    stored(migrated, 2)
    part, bounds = migrated.rows("""
        SELECT c.relname::text, pg_get_expr(c.relpartbound, c.oid)
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = %s::regclass AND c.relname::text LIKE CASE i.inhparent::regclass::text
            WHEN 'authorizations' THEN to_char(now() AT TIME ZONE 'UTC', '%%"_"YYYY"_"MM')
            ELSE '%%2026\\_01' END""", table)[0]
    go, come = (sql.format(table=table, part=part, bounds=bounds) for sql in way)
    migrated.rows(go)
    publish.raw("cs/out/ocpp1.6/cs001", json.dumps(given(0, 7, id="2")["payload"]))
    publish.raw("cs/out/ocpp1.6/cs001", json.dumps(outcome(0, "Accepted")["payload"]))
    stored(migrated, 4)
    if table not in at_once:
        assert migrated.rows("SELECT reason, count(*) FROM dead_letters GROUP BY 1") == [
            ("partition_detached", 1)]
        migrated.rows(come)
        requeue_detached(p)
    assert migrated.value("SELECT count(*) FROM dead_letters") == 0
    assert meters(migrated) == {"7": 5}
    assert migrated.rows("SELECT transaction_id FROM transaction_starts") == [("7",)]
    assert outcomes(migrated) == {"A": "Accepted"}


def requeue_detached(p):
    p.stop()
    done = run_cli(p.settings, "dead-letters", "requeue", "--reason", "partition_detached")
    assert "requeued 1: stored 1, " in done.stdout, done.stdout + done.stderr


def test_messages_after_a_partition_was_moved_are_stored_or_come_back(migrated, running, publish):
    """If it was detached, in a new one; if it is still a partition, once it is back."""
    migrated.rows("CREATE SCHEMA attic")
    p = running()
    publish.raw("cs/in/ocpp1.6/cs001", json.dumps(start(0, 5, id="2")["payload"]))
    stored(migrated, 1)
    migrated.rows("ALTER TABLE transaction_events_2026_01 SET SCHEMA attic")
    publish.raw("cs/in/ocpp1.6/cs002", json.dumps(start(0, 6, id="3")["payload"]))
    stored(migrated, 2)
    assert migrated.rows("SELECT reason, charge_station_id FROM dead_letters") == [
        ("partition_detached", "cs002")]
    migrated.rows("ALTER TABLE transaction_events DETACH PARTITION"
                  " attic.transaction_events_2026_01")
    requeue_detached(p)
    assert migrated.rows("SELECT charge_station_id FROM transaction_events") == [("cs002",)]
    p.start()
    publish.raw("cs/out/ocpp1.6/cs001", json.dumps(given(0, 7, id="2")["payload"]))
    publish.raw("cs/out/ocpp1.6/cs002", json.dumps(given(0, 8, id="3")["payload"]))
    publish.raw("cs/in/ocpp1.6/cs003", json.dumps(start(0, 9, id="4")["payload"]))
    rig.wait_until(lambda: migrated.value("SELECT count(*) FROM transaction_events") == 2,
                   what=lambda: rig.tail(p.log))
    assert meters(migrated, "cs002") == {"8": 6}
    assert migrated.rows("SELECT reason, charge_station_id FROM dead_letters") == [
        ("partition_detached", "cs001")]


def test_answer_to_a_call_that_is_gone_for_good_is_stored(migrated, replay):
    replay(migrated, [start(0, 5, id="2")])
    migrated.rows("DROP TABLE transaction_events_2026_01")
    replay(migrated, [given(1, 7, id="2")])
    assert meters(migrated) == {}


# ---- clocks of workers ----

@needs_failpoints
def test_halves_at_two_workers_whose_clocks_differ_are_paired(migrated, broker, publish, persister):
    """What each gets is decided by its topics, so that the halves go to different ones."""
    settings = {**migrated.settings(), **broker.settings()}
    right = persister({**settings, "mqtt.topics": "cs/in/+/+"}).start()
    wrong = persister({**settings, "mqtt.topics": "cs/out/+/+"},
                      environment={"CLOCK_WRONG_BY": "90"}).start()
    for p in (right, wrong):
        p.wait_event("broker_connected")
        p.wait_event("database_connected")
    publish.raw("cs/in/ocpp1.6/cs001", json.dumps(start(0, 5, id="a1b2")["payload"]))
    publish.raw("cs/out/ocpp1.6/cs001", json.dumps(given(0, 7, id="a1b2")["payload"]))
    stored(migrated, 2)
    assert meters(migrated) == {"7": 5}
    assert wrong.wait_event("clock_differs")["database_ahead_ms"].startswith("-")
    wrong.wait_metric("ocpp_persister_clock_offset_seconds", lambda v: 85 < v <= 90)
    assert not right.events("clock_differs")


# ---- layouts, and what lacks its other half ----

@pytest.mark.parametrize("change", ["UPDATE meter_value_layouts SET unit = '{V}'",
                                    "DELETE FROM meter_value_layouts WHERE false",
                                    "TRUNCATE meter_value_layouts"])
def test_layouts_are_never_changed(migrated, change):
    """Whoever is connected knows them by heart."""
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as refused:
        migrated.rows(change)
    assert "never changed" in str(refused.value) and "layouts_stay" in str(refused.value)


def test_layout_whose_id_is_stored_for_another_text_goes_with_its_row(
        migrated, running, publish):
    def value(minute, power):
        publish.call("cs001", "MeterValues", {"connectorId": 1, "meterValue": [{
            "timestamp": f"2026-01-31T10:{minute:02}:00Z", "sampledValue": [
                {"value": str(power), "measurand": "Power.Active.Import", "unit": "kW"}]}]},
            id=str(minute))

    p = running()
    value(0, 1)
    stored(migrated, 1)
    # As if another set of samples with this digest had been there first.
    migrated.rows("ALTER TABLE meter_value_layouts DISABLE TRIGGER layouts_stay;"
                  "UPDATE meter_value_layouts SET layout = '[[\"Voltage\"]]',"
                  " measurand = '{Voltage}', unit = '{V}'")
    p.stop()
    p.start()
    for minute in (1, 2):
        value(minute, 1 + minute)
    stored(migrated, 3)
    assert migrated.rows("SELECT value::int, measurand, unit FROM meter_samples"
                         " WHERE event_time > '2026-01-31 10:00:30Z' ORDER BY 1") == [
        (2000, "Power.Active.Import", "W"), (3000, "Power.Active.Import", "W")]
    p.wait_metric("ocpp_persister_layouts_different_total", lambda v: v >= 2)
    assert len(p.events("layout_differs")) == 1


def test_layout_that_is_another_after_a_reconnect_goes_with_its_row(migrated, running, publish):
    """What was compared before the reconnect was perhaps compared with another database."""
    def value(minute):
        publish.call("cs001", "MeterValues", {"connectorId": 1, "meterValue": [{
            "timestamp": f"2026-01-31T10:{minute:02}:00Z", "sampledValue": [
                {"value": "1", "measurand": "Power.Active.Import", "unit": "kW"}]}]},
            id=str(minute))

    p = running()
    value(0)
    value(1)
    stored(migrated, 2)
    migrated.rows("ALTER TABLE meter_value_layouts DISABLE TRIGGER layouts_stay;"
                  "UPDATE meter_value_layouts SET layout = '[[\"Voltage\"]]',"
                  " measurand = '{Voltage}', unit = '{V}'")
    migrated.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                  " WHERE datname = current_database() AND pid <> pg_backend_pid()")
    p.wait_event("database_connected", count=2)
    value(2)
    stored(migrated, 3)
    assert migrated.rows("SELECT measurand FROM meter_samples"
                         " WHERE event_time > '2026-01-31 10:01:30Z'") == [
        ("Power.Active.Import",)]
    assert len(p.events("layout_differs")) == 1


def test_what_lacks_its_other_half_is_listed_with_the_reason(migrated, replay):
    stop = {"meterStop": 9, "timestamp": "2026-01-31T10:00:02Z"}
    replay(migrated, [
        line("in", 0, [2, "stop", "StopTransaction", stop]), start(1, 5, id="alone"),
        authorize(2, "A", id="open"), outcome(3, "Accepted", id="nobody's"),
        line("out", 4, [2, "reset", "Reset", {"type": "Soft"}]),
        line("out", 5, [4, "error", "InternalError", "", {}]),
        start(6, 7, id="both"), given(7, 1, id="both"), authorize(8, "B", id="done"),
        outcome(9, "Accepted", id="done"), line("out", 10, [2, "ok", "Reset", {"type": "Soft"}]),
        line("in", 11, [3, "ok", {"status": "Accepted"}])])
    assert sorted(migrated.rows("SELECT message_id, reason FROM unmatched_events")) == [
        ("alone", "StartTransaction without an answer that gives it a transaction id"),
        ("error", "error without a call"),
        ("nobody's", "result without a call"),
        ("open", "Authorize without an answer"),
        ("reset", "call of the CSMS without an answer"),
        ("stop", "StopTransaction without a transaction id")]


# ---- as much as comes ----

FLOODS = {
    "authorize": lambda i, at: [authorize(at, f"T{i}"), outcome(at + 0.002, "Accepted")],
    "unanswered": lambda i, at: [authorize(at, f"T{i}")],
    "answers": lambda i, at: [outcome(at, f"S{i}")],
    "heartbeats": lambda i, at: [line("in", at, [2, f"h{i}", "Heartbeat", {}])],
    "starts": lambda i, at: [start(at, i), given(at + 0.002, i + 1)],
    "settings": lambda i, at: [
        line("out", at, [2, "1", "ChangeConfiguration", {"key": f"K{i % 50}", "value": f"{i}"}]),
        line("in", at + 0.002, [3, "1", {"status": "Accepted"}])],
}

# Pages that the server looked at, of tables and indexes: the same on a busy machine.
READ = """
    SELECT sum(heap_blks_hit + heap_blks_read
        + coalesce(idx_blks_hit, 0) + coalesce(idx_blks_read, 0)) FROM pg_statio_user_tables"""


@pytest.mark.parametrize("what", FLOODS)
def test_what_is_read_for_a_message_does_not_grow_with_what_its_station_sends(
        migrated, replay, what):
    count, most = (12000, 15) if what == "heartbeats" else (3000, 50)
    lines = [x for i in range(count) for x in FLOODS[what](i, i * 0.01)]
    before = migrated.value(READ)
    replay(migrated, lines, {"batch.messages_max": 400})
    rig.wait_until(lambda: migrated.value("SELECT count(*) = 0 FROM pg_stat_activity"
                                          " WHERE application_name LIKE 'ocpp%%'"), 60, "connected")
    read = (migrated.value(READ) - before) / len(lines)
    print(what, float(read))
    assert read < most
