"""`ocpp-persister history`: the conversation of one station, as a role that can only read."""

import datetime
import json
import os
import pty
import queue
import re
import signal
import subprocess
import threading

import psycopg
import pytest
import rig
from conftest import BINARY, ROOT, make_database, next_line, run_cli
from test_reports import on_terminal, peak_kib
from test_terminal import HOSTILE, harmless

LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d) (in |out) (.{26}) (.{4})"
                  r"(?: (.*))?$")


def at(seconds=0):
    time = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return time.isoformat(timespec="milliseconds")


def options(settings):
    return [f"--{key}={value}" for key, value in settings.items()]


@pytest.fixture(scope="module")
def settings(world):
    """For a reader of the world's database."""
    with psycopg.connect(world.database.dsn(), autocommit=True) as admin:
        admin.execute("CREATE ROLE reader LOGIN PASSWORD 'secret' IN ROLE ocpp_reader")
    return world.database.cluster.settings(world.database.name, "reader", "secret")


@pytest.fixture
def history(settings, world):
    """history("cs1", ...): the command, once all that was sent is stored."""
    def run(*arguments, code=0):
        world.rows("SELECT 1")
        done = run_cli(settings, "history", *arguments)
        assert done.returncode == code, done
        return done

    return run


def messages(history, *arguments):
    return [json.loads(line) for line in history("--json", *arguments).stdout.splitlines()]


def converse(world):
    """What a station and its CSMS say of a session; the station."""
    station = world.station()

    def exchange(action, request, response, direction="in"):
        back = "out" if direction == "in" else "in"
        id = world.call(station, action, request, direction=direction)
        world.result(station, action, response, id, direction=back)

    exchange("BootNotification", {"chargePointVendor": "v", "chargePointModel": "m"},
             {"status": "Accepted", "interval": 300, "currentTime": at()})
    exchange("Authorize", {"idTag": "ALICE"}, {"idTagInfo": {"status": "Accepted"}})
    exchange("StartTransaction", {"connectorId": 1, "idTag": "ALICE", "meterStart": 100,
                                  "timestamp": at()},
             {"transactionId": 77, "idTagInfo": {"status": "Accepted"}})
    world.call(station, "MeterValues", {"connectorId": 1, "transactionId": 77, "meterValue": [
        {"timestamp": at(), "sampledValue": [{"value": "150"}, {
            "value": "7.4", "measurand": "Power.Active.Import", "phase": "L1", "unit": "kW"}]}]})
    exchange("ChangeConfiguration", {"key": "AuthorizationKey", "value": "HIDE0001ME"},
             {"status": "Rejected"}, "out")
    world.call(station, "StopTransaction", {
        "transactionId": 77, "meterStop": 300, "timestamp": at(), "transactionData": [
            {"timestamp": at(), "sampledValue": [{"value": "300"}]}]})
    id = world.call(station, "Reset", {"type": "Soft"}, direction="out")
    world.publisher.send(station, {"type": 4, "id": id, "action": "Reset",
                                   "error_code": "NotSupported", "error_description": "no",
                                   "error_details": {}})
    world.sent += 1
    return station


def rows_of(world, station):
    return sum(world.rows(f"SELECT count(*) FROM {table} WHERE charge_station_id = ?",
                          station)[0][0]
               for table in ("ocpp_events", "transaction_events", "authorizations",
                             "meter_values"))


def test_answers_stand_beside_their_calls(world, history):
    station = converse(world)
    found = messages(history, station)
    assert [(m["direction"], m["kind"], m["action"]) for m in found
            if m["kind"] != "values"] == [
        ("in", "call", "BootNotification"), ("out", "result", "BootNotification"),
        ("in", "call", "Authorize"), ("out", "result", "Authorize"),
        ("in", "call", "StartTransaction"), ("out", "result", "StartTransaction"),
        ("in", "call", "MeterValues"),
        ("out", "call", "ChangeConfiguration"), ("in", "result", "ChangeConfiguration"),
        ("in", "call", "StopTransaction"),
        ("out", "call", "Reset"), ("in", "error", "Reset")]
    assert len(found) == rows_of(world, station)
    # An answer says when its call was.
    for before, message in zip(found, found[1:]):
        assert message["answers_at"] == (
            before["at"] if message["kind"] in ("result", "error") else None)
    assert found[1]["payload"]["status"] == "Accepted"
    assert [m["payload"]["sampled_value"][0]["value"] for m in found
            if m["action"] in ("MeterValues", "StopTransaction")
            and "sampled_value" in m["payload"]] == [150, 300]


def test_lines_have_stable_columns(world, history):
    station = converse(world)
    lines = history(station).stdout.splitlines()
    found = [LINE.match(line) for line in lines]
    assert all(found), lines
    said = [(m[2].strip(), m[3].rstrip(), m[4].strip(), m[5] or "") for m in found]
    assert [text for _, what, evse, text in said if (what, evse) == ("MeterValues", "1")] == [
        "77 150, Power.Active.Import L1 7.4 kW"]
    assert any(what == "  result" and "Accepted" in text for _, what, _, text in said)
    assert ("in", "  error", "", "NotSupported no") in said
    berlin = LINE.match(history(station, "--zone", "+05:45").stdout.splitlines()[0])
    assert berlin[1].endswith("+05:45")
    assert (datetime.datetime.fromisoformat(berlin[1])
            == datetime.datetime.fromisoformat(found[0][1]))


def test_one_action_comes_with_its_answers(world, history):
    station = converse(world)
    assert [(m["action"], m["kind"]) for m in messages(history, station, "--action",
                                                       "Authorize")] == [
        ("Authorize", "call"), ("Authorize", "result")]
    assert "no messages" in history(station, "--action", "Nothing").stderr


def test_readers_see_no_secret_and_terminals_obey_nothing(world, history, settings):
    station = converse(world)
    world.call(station, "DataTransfer", {"vendorId": "v", "data": HOSTILE})
    world.rows("SELECT 1")
    for form in ([], ["--json"]):
        done = subprocess.run([BINARY, *options(settings), "history", station, *form],
                              capture_output=True)
        shown = harmless(done.stdout)
        assert "HIDE0001ME" not in shown and "AuthorizationKey" in shown and "owned" in shown


def test_times_that_are_none_and_days_without_messages(world, history):
    station = world.station()
    world.call(station, "StatusNotification", {"connectorId": 1, "status": "Faulted",
                                               "errorCode": "NoError", "timestamp": "broken"})
    for time in ("2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z", "2026-05-01T12:00:00Z"):
        world.call(station, "StatusNotification", {"connectorId": 1, "status": "Available",
                                                   "errorCode": "NoError", "timestamp": time})
    assert len(messages(history, station, "--from", "2026-01-01")) == 4
    [undated] = messages(history, station)
    assert undated["time_text"] == "broken" and undated["flags"] == ["time_invalid"]
    assert "[dated broken]" in history(station).stdout
    late = history(station, "--from", "2026-02", "--to", "2026-03").stdout
    assert late.startswith("2026-02-01 00:00:00.000+00:00 in  StatusNotification")
    assert "[received " in late and late.count("\n") == 1


def test_messages_are_found_however_far_apart(world, history):
    """The next one is looked for in a few days first, then in ever more."""
    station, day = world.station(), datetime.date(2023, 1, 1)
    dates = [day]
    for days in (1, 7, 8, 9, 23, 24, 25, 200, 900):
        dates.append(dates[-1] + datetime.timedelta(days=days))
    for date in dates:
        world.call(station, "StatusNotification", {
            "connectorId": 1, "status": "Available", "errorCode": "NoError",
            "timestamp": f"{date}T00:00:00Z"})
    found = messages(history, station, "--from", "1990-01")
    assert [m["at"][:10] for m in found] == [str(date) for date in dates]
    found = messages(history, station, "--from", "2023-01-02", "--to", str(dates[-1]))
    assert [m["at"][:10] for m in found] == [str(date) for date in dates[1:-1]]


def test_a_day_is_asked_for_without_the_days_after_it(world, history, settings):
    """Planning each day's query for all days after it takes time that grows with the square of the
    days."""
    station = world.station()
    for number in range(3):
        world.call(station, "StatusNotification", {
            "connectorId": 1, "status": "Available", "errorCode": "NoError",
            "timestamp": f"2026-01-0{1 + 2 * number}T00:00:00Z"})
    with psycopg.connect(world.database.dsn(), autocommit=True) as admin:
        assert len(messages(history, station, "--from", "2026-01", "--to", "2026-12")) == 3
        # Somebody has locked a partition of months later for themselves: nobody asks for it.
        admin.execute("SELECT ocpp.ensure_partition('meter_values', '2026-11-01')")
        mine, its = pty.openpty()  # so that each line comes when it is printed
        with psycopg.connect(world.database.dsn()) as other, open(mine, "rb", 0) as lines:
            other.execute("LOCK TABLE ocpp.meter_values_2026_11_01")
            process = subprocess.Popen(
                [BINARY, *options(settings), "history", station, "--from", "2026-01", "--to",
                 "2026-12"], stdin=its, stdout=its, stderr=its)
            os.close(its)
            assert all(b"StatusNotification" in next_line(process, lines) for _ in range(3))
            other.rollback()
            assert process.wait(rig.HANGS_S) == 0


# ---- --follow ----


@pytest.fixture
def following(settings):
    """following("cs1"): (process, queue of its lines)."""
    made = []

    def start(*arguments):
        process = subprocess.Popen([BINARY, *options(settings), "history", "--follow", *arguments],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        made.append(process)
        lines = queue.Queue()
        threading.Thread(target=lambda: [lines.put(line) for line in process.stdout],
                         daemon=True).start()
        return process, lines

    yield start
    for process in made:
        process.kill()
        process.wait()


def next_shown(lines):
    rig.wait_until(lambda: not lines.empty(), what="another message is shown")
    return json.loads(lines.get())


def test_follow_shows_each_message_once_and_ends_by_ctrl_c(world, following):
    station = converse(world)
    world.rows("SELECT 1")
    before = rows_of(world, station)
    process, lines = following(station, "--json")
    shown = [next_shown(lines) for _ in range(before)]
    # What comes later, including what the station dates back, or does not date at all.
    for time in (at(), at(-3600), "never"):
        world.call(station, "StatusNotification", {"connectorId": 2, "status": "Available",
                                                   "errorCode": "NoError", "timestamp": time})
        shown.append(next_shown(lines))
        assert shown[-1]["connector_id" if "connector_id" in shown[-1] else "evse_id"] == 2
    process.send_signal(signal.SIGINT)
    assert process.wait(rig.HANGS_S) == 0 and process.stderr.read() == ""
    assert lines.empty() and len(shown) == before + 3
    keys = [(m["at"], m["kind"], m["action"], m["evse_id"], json.dumps(m["payload"]))
            for m in shown]
    assert len(set(keys)) == len(keys)


def test_follow_changes_nothing_and_ends_while_it_waits(world, settings, following):
    process, _ = following("nobody")
    with psycopg.connect(world.database.dsn(), autocommit=True) as admin:
        def reading():
            return admin.execute("""SELECT count(*) FROM pg_stat_activity
                WHERE usename = 'reader' AND state = 'idle'""").fetchone() == (1,)

        rig.wait_until(reading, what="the follower waits")
    process.send_signal(signal.SIGTERM)
    assert process.wait(rig.HANGS_S) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_follow_ends_while_a_query_waits(world, following, number):
    with psycopg.connect(world.database.dsn()) as other:
        other.execute("LOCK TABLE ocpp.ocpp_events")
        process, _ = following("nobody")
        with psycopg.connect(world.database.dsn(), autocommit=True) as admin:
            def waits():
                return admin.execute("""SELECT count(*) FROM pg_stat_activity
                    WHERE usename = 'reader' AND wait_event_type = 'Lock'""").fetchone() == (1,)

            rig.wait_until(waits, what="the follower waits for the lock")
        process.send_signal(number)
        assert process.wait(rig.HANGS_S) == 0


def test_follow_whose_session_was_ended_fails_although_it_was_to_stop(world, following):
    with psycopg.connect(world.database.dsn()) as other:
        other.execute("LOCK TABLE ocpp.ocpp_events")
        process, _ = following("nobody")
        with psycopg.connect(world.database.dsn(), autocommit=True) as admin:
            def waits():
                return admin.execute("""SELECT pid FROM pg_stat_activity
                    WHERE usename = 'reader' AND wait_event_type = 'Lock'""").fetchall()

            [(pid,)] = rig.wait_until(waits, what="the follower waits for the lock")
            process.send_signal(signal.SIGSTOP)
            admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
            rig.wait_until(lambda: not waits(), what="its session is over")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        assert process.wait(rig.HANGS_S) == 4 and "terminating" in process.stderr.read()


# ---- a terminal ----


def test_colours_are_for_terminals_only(world, history, settings, monkeypatch):
    station = converse(world)
    assert "\x1b" not in history(station).stdout
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = on_terminal(settings, 200, "history", station)
    assert "\x1b[31m" in coloured and coloured.count("\x1b[0m") == len(re.findall(
        r"\x1b\[(?:31|2|36)m", coloured))
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as m:
            m.setenv(name, value)
            assert "\x1b" not in on_terminal(settings, 200, "history", station)


# ---- limits and errors ----


@pytest.fixture(scope="module")
def full(postgres):
    """A database with two days of many stations."""
    database = make_database(postgres)
    assert run_cli(database.settings(), "migrate", "up").returncode == 0
    common = """(charge_station_id, event_time, received_at, digest, evse_id, flags, time_source,
        {columns}) SELECT 'cs' || n % 50, t.at, t.at, n, 1, 0, 's', {values}
        FROM generate_series(1, {count}) n, LATERAL (SELECT '2026-03-01'::timestamptz
            + n * interval '1 s' AS at) t"""
    for table, columns, values in (
            ("meter_values", "layout_id, source, sampled", "0, 'M', '{1,2}'"),
            ("transaction_events", "ocpp_version, event_type, transaction_id",
             "'2.0.1', 'Updated', n::text"),
            ("authorizations", "ocpp_version, id_token", "'1.6', 'TAG'"),
            ("ocpp_events", "ocpp_version, direction, kind, action, message_id, payload",
             "'1.6', 'in', 'call', 'DataTransfer', n::text, '{}'")):
        for day in ("2026-02-27", "2026-03-01", "2026-03-02"):
            database.rows("SELECT ensure_partition(%s, %s)", table, day)
        insert = f"INSERT INTO {table} " + common.format(columns=columns, values=values,
                                                         count=120000)
        database.rows(insert)
        database.rows(insert.replace("t.at, t.at", "'-infinity', t.at").replace("120000", "20000"))
    with psycopg.connect(database.dsn(), autocommit=True) as admin:
        admin.execute("VACUUM ANALYZE")
    return database


def plan_nodes(node):
    yield node
    for inner in node.get("Plans", []):
        yield from plan_nodes(inner)


@pytest.mark.parametrize("name", ["history.sql", "history_first.sql"])
def test_one_station_and_a_day_read_two_partitions_by_their_key(full, name):
    with open(os.path.join(ROOT, "consumer", "cli", "sql", name)) as f:
        text = f.read()
    for number, value in enumerate(("'cs7'", "'2026-03-01 00:00Z'", "'2026-03-02 00:00Z'", "NULL",
                                    "'2026-03-01 00:00Z'"), 1):
        text = text.replace(f"${number}", value)
    [(plan,)] = full.rows("EXPLAIN (FORMAT JSON) " + text)[0],
    nodes = list(plan_nodes(plan[0]["Plan"]))
    big = re.compile(r"(meter_values|transaction_events|authorizations|ocpp_events)_(\w+)$")
    read = {n["Relation Name"]: n["Node Type"] for n in nodes
            if big.match(n.get("Relation Name", ""))}
    assert len(read) >= 4
    assert {name for name in read if not name.endswith("_undated")} == {
        "meter_values_2026_03_01", "transaction_events_2026_03", "authorizations_2026_03",
        "ocpp_events_2026_03"}
    assert all("Seq" not in kind for kind in read.values()), read


def test_memory_does_not_grow_with_the_history(full):
    settings = full.settings()
    full.rows("UPDATE ocpp_events SET charge_station_id = 'busy' WHERE digest % 50 <> 7")
    few = peak_kib(settings, "history", "cs7", "--from", "2026-03-01")
    many = peak_kib(settings, "history", "busy", "--from", "2026-03-01")
    assert many < few + 4096


@pytest.mark.parametrize("arguments, says", [
    ([], "say which station"), (["cs1", "--from", "x"], "is not a time"), (["cs1", "cs2"], "cs2"),
    (["cs1", "--follow", "--to", "2026-01"], "leave out --to"), (["cs1", "--action"], "--action"),
    (["cs1", "--zone", "Mars"], "is not a time zone")])
def test_wrong_arguments_are_named(settings, arguments, says):
    done = run_cli(settings, "history", *arguments)
    assert done.returncode == 2 and says in done.stderr and done.stdout == "", done


def test_database_that_is_not_migrated_is_named(postgres):
    done = run_cli(make_database(postgres).settings(), "history", "cs1")
    assert done.returncode == 5 and "migrate up" in done.stderr, done
