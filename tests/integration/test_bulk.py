"""Replay of history: days without a partition are loaded without an index and attached."""

import itertools
import json
import os
import random
import signal
import subprocess

import psycopg
import pytest
import rig
from conftest import BINARY, run_cli, stored
from test_partitions import partitions
from test_replay import assert_equal, contents, empty, fleet, replay, split  # noqa: F401

SMALL = {"batch.messages_max": 10}  # of which a replay takes twice as many


@pytest.fixture
def history(running, migrated, broker):
    """The folder of a log with some days of long ago, which are also in `migrated`."""
    p = running()
    for day in range(1, 7):
        fleet(broker, 1500, "--start", f"2026-03-{day:02}T05:00:00Z", "--duplicates", "5",
              "--stations", "20")
    stored(migrated, 9000)
    p.stop()
    assert len(days(migrated)) == 6
    return p.settings["spool.dir"]


def days(database):
    return [d for d in partitions(database) if d.startswith("meter_values_2026_03")]


def shape(database):
    """{partition: what can be seen of it} of meter values in those days."""
    return {name: database.rows(f"""
        SELECT array(SELECT attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull
                     FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
                     ORDER BY attnum),
            array(SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = c.oid),
            array(SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
                  WHERE conrelid = c.oid ORDER BY 1),
            pg_get_expr(relpartbound, oid), (SELECT array_agg(a ORDER BY a) FROM
                unnest(relacl::text[]) AS a)
        FROM pg_class c WHERE oid = 'ocpp.{name}'::regclass""") for name in days(database)}


def outcome(summary):
    return {k: summary[k] for k in ("stored", "duplicate", "skipped", "dead_lettered")}


def settings(database, **more):
    return {**database.settings(), **SMALL, **more}


def run_bulk(database, *arguments, code=0):
    done = run_cli(settings(database), "replay", "--json", *map(str, arguments))
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def nothing_waits(database):
    return (database.rows("SELECT table_name FROM loading_partitions") == []
            and database.value("""SELECT count(*) FROM pg_class WHERE relname LIKE '%\\_loading'""")
            == 0)


def test_days_without_a_partition_are_loaded_and_are_like_others(history, migrated, empty):
    plain, bulk = empty(), empty()
    without = run_bulk(plain, "--no-bulk", history)
    found = run_bulk(bulk, history)
    assert without["loaded_rows"] == without["loaded_partitions"] == 0
    assert found["loaded_partitions"] == len(days(migrated)) and found["loaded_rows"] > 500
    assert outcome(found) == outcome(without) and found["duplicate"] > 100
    assert_equal(migrated, bulk)
    assert shape(bulk) == shape(plain) != {}
    assert nothing_waits(bulk)
    # Now they are there.
    again = run_bulk(bulk, history)
    assert again["stored"] == again["loaded_rows"] == 0
    done = run_cli(settings(empty()), "replay", history)
    assert f"loaded before they were partitions: {len(days(migrated))} days" in done.stdout


def test_repeated_sources_and_several_jobs(history, migrated, empty, tmp_path):
    folder = split(history, tmp_path, 3)
    twice = folder / "again.jsonl"
    twice.write_text((folder / "1.jsonl").read_text())
    plain, bulk = empty(), empty()
    without = run_bulk(plain, "--no-bulk", "--jobs", 4, folder)
    found = run_bulk(bulk, "--jobs", 4, folder)
    assert found["loaded_partitions"] == len(days(migrated))
    assert outcome(found) == outcome(without) and found["duplicate"] > 1000
    # Another job may have stored the later of two copies of a message.
    assert_equal(migrated, bulk, captured=True)
    assert nothing_waits(bulk)


def lines_of(meter_values, seconds=0):
    """A MeterValues of several meter values, received at some second, as a line of a capture."""
    payload = [2, "1", "MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": f"2026-03-01T10:00:{i:02}Z", "sampledValue": [{"value": str(i)}]}
        for i in meter_values]}]
    return f"{1769853600 + seconds} 1 cs/in/ocpp1.6/cs001 {json.dumps(payload).encode().hex()}\n"


def test_message_is_a_duplicate_by_its_first_row(empty, tmp_path):
    """Even if it has other rows, and even if those came before, with another message."""
    capture = tmp_path / "capture"
    other = lines_of([59]).replace("cs001", "cs002")
    capture.write_text("".join([lines_of([1, 2, 3], 1), other * 300, lines_of([1, 2, 3], 2),
                                other * 300, lines_of([2, 4], 3), other * 300,
                                lines_of([5, 1, 2], 4)]))
    plain, bulk = empty(), empty()
    without, found = run_bulk(plain, "--no-bulk", capture), run_bulk(bulk, capture)
    assert outcome(found) == outcome(without)
    assert (found["stored"], found["duplicate"]) == (3, 901)
    assert found["loaded_rows"] > 7
    assert contents(bulk)["meter_values"] == contents(plain)["meter_values"]


def sessions_of_two_stations(capture):
    """Lines in the order they happened: sessions of one id with values of which some are odd."""
    seconds = itertools.count()

    def line(station, direction, payload):
        return (f"{1773100800 + next(seconds)} 1 cs/{direction}/ocpp1.6/{station} "
                f"{json.dumps(payload).encode().hex()}\n")

    for station, id in (("cs001", 7), ("cs002", 0)):
        for n, odd in enumerate(["", "Z", ""]):
            day = f"2026-03-{n + 1:02}T1"
            yield line(station, "in", [2, f"s{n}", "StartTransaction", {
                "connectorId": 1, "idTag": f"T{n}", "meterStart": n,
                "timestamp": day + "0:00:00Z"}])
            yield line(station, "out", [3, f"s{n}", {
                "transactionId": id, "idTagInfo": {"status": "Accepted"}}])
            for minute in range(1, 30):
                yield line(station, "in", [2, f"v{n}{minute}", "MeterValues", {
                    "connectorId": 1, "transactionId": id, "meterValue": [{
                        "timestamp": f"{day}0:{minute:02}:00{odd if minute == 9 else 'Z'}",
                        "sampledValue": [{"value": str(minute) if minute != 20 or n else "?"}]}]}])
            yield line(station, "in", [2, f"e{n}", "StopTransaction", {
                "transactionId": id, "meterStop": n + 9, "timestamp": day + "1:00:00Z"}])


@pytest.mark.parametrize("seed", range(3))
def test_flags_of_values_reach_sessions_however_they_are_loaded(empty, tmp_path, seed):
    lines = list(sessions_of_two_stations(tmp_path))
    if seed:
        random.Random(seed).shuffle(lines)
    database, half = empty(), len(lines) // 2
    for name, part in (("a", lines[:half]), ("b", lines[half - 20:])):
        (tmp_path / name).write_text("".join(part))
    found = run_bulk(database, "--jobs", 2, tmp_path / "a", tmp_path / "b")
    assert found["loaded_rows"] > 100
    expected = [(station, f"T{n}", flags) for station in ("cs001", "cs002")
                for n, flags in enumerate([["time_zoneless", "value_not_number"], [],
                                           ["time_zoneless"]])]
    flags = "SELECT charge_station_id, id_token, flags FROM sessions ORDER BY 1, 2"
    assert database.rows(flags) == expected
    changed = "SELECT max(updated_at) FROM transactions"
    before = database.value(changed)
    assert run_bulk(database, tmp_path / "b", tmp_path / "a")["stored"] == 0
    assert database.rows(flags) == expected and database.value(changed) == before
    # As an older version left it.
    database.rows("TRUNCATE transaction_flags")
    database.rows("UPDATE transactions SET flags = 0")
    assert run_bulk(database, tmp_path / "b", tmp_path / "a")["stored"] == 0
    assert database.rows(flags) == expected


class Replay:
    """A replay in the background, slow enough to meddle with."""

    def __init__(self, database, *arguments, rate=3000, more=None):
        self.database = database
        options = [f"--{k}={v}" for k, v in settings(database, **(more or {})).items()]
        self.process = subprocess.Popen(
            [BINARY, *options, "replay", "--json", "--rate", str(rate), *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def until_loading(self, seq=2000):
        rig.wait_until(lambda: self.database.value(
            "SELECT coalesce(sum(seq), 0) FROM ingest_progress") > seq
            and self.database.rows("SELECT FROM loading_partitions") != [], 60, "it loads")

    def end(self):
        out, err = self.process.communicate(timeout=rig.HANGS_S)
        assert self.process.returncode == 0, err
        return json.loads(out)

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=rig.HANGS_S)


def test_days_are_attached_while_it_goes_on(history, migrated, empty):
    bulk = empty()
    running = Replay(bulk, history)
    rig.wait_until(lambda: len(days(bulk)) >= 2, 60, "first days are there")
    assert running.process.poll() is None
    found = running.end()
    assert found["loaded_partitions"] == len(days(migrated))
    assert_equal(migrated, bulk)


def test_live_writer_makes_the_partition_and_does_not_wait(history, migrated, empty):
    bulk = empty()
    without = run_bulk(empty(), "--no-bulk", history)
    running = Replay(bulk, history)
    running.until_loading()
    [day] = bulk.rows("SELECT lower_bound FROM loading_partitions ORDER BY 1 DESC LIMIT 1")
    with psycopg.connect(bulk.dsn(), autocommit=True, options="-c search_path=ocpp") as live:
        live.execute("SET lock_timeout = '200ms'")
        live.execute("SELECT ensure_partition('meter_values', %s)", day)
    assert outcome(running.end()) == outcome(without)
    # A copy that came when the partition was there may have been stored before the first was moved.
    assert_equal(migrated, bulk, captured=True)
    assert nothing_waits(bulk)


def test_live_stream_stores_the_same_facts_meanwhile(history, migrated, empty):
    """The rows that are moved are there already: the messages are duplicates."""
    bulk = empty()
    running = Replay(bulk, history, rate=2500)
    running.until_loading()
    assert replay(bulk, "--no-bulk", "--to", "2100-01-01T00:00:00Z", history)["stored"] > 100
    found = running.end()
    total = bulk.value("SELECT count(*) FROM meter_values")
    assert total == migrated.value("SELECT count(*) FROM meter_values")
    assert found["duplicate"] > 1000
    assert_equal(migrated, bulk)
    assert nothing_waits(bulk)


def test_killed_jobs_leave_tables_that_the_same_command_goes_on_with(
        history, migrated, empty, tmp_path):
    folder = split(history, tmp_path, 4)
    bulk = empty()
    for kills in range(2):
        running = Replay(bulk, "--jobs", 4, folder, rate=4000)
        running.until_loading(500 + 1500 * kills)
        running.kill()
    found = run_bulk(bulk, "--jobs", 4, folder)
    assert found["resumed"] and found["records"] < 9000
    assert_equal(migrated, bulk, captured=True)
    assert nothing_waits(bulk)


def test_any_replay_attaches_what_an_interrupted_one_left(history, empty, tmp_path):
    bulk = empty()
    running = Replay(bulk, history)
    running.until_loading()
    running.kill()
    waiting = [name for name, in bulk.rows("SELECT table_name FROM loading_partitions")]
    rows = sum(bulk.value(f"SELECT count(*) FROM {name}") for name in waiting)
    # verify says so.
    done = run_cli(bulk.settings(), "verify")
    assert f"{len(waiting)} tables of an interrupted replay" in done.stdout + done.stderr
    visible = bulk.value("SELECT count(*) FROM meter_values")
    nothing = tmp_path / "nothing.jsonl"
    nothing.write_text("")
    found = replay(bulk, nothing)
    assert found["loaded_partitions"] == len(waiting) and found["stored"] == 0
    assert nothing_waits(bulk)
    assert bulk.value("SELECT count(*) FROM meter_values") in range(visible + 1,
                                                                    visible + rows + 1)


def test_stopped_by_a_signal_it_leaves_the_rest_for_later(history, migrated, empty):
    bulk = empty()
    running = Replay(bulk, history)
    running.until_loading()
    running.process.send_signal(signal.SIGINT)
    _, err = running.process.communicate(timeout=rig.HANGS_S)
    assert running.process.returncode == 1 and "the same command continues" in err
    assert run_bulk(bulk, history)["resumed"]
    assert_equal(migrated, bulk)
    assert nothing_waits(bulk)


def test_steps_that_were_interrupted(migrated):
    """Indexed but not yet attached, and somebody wants to fill it: it is attached."""
    at = "2026-03-01T12:00:00Z"
    table = "meter_values_2026_03_01_loading"
    with psycopg.connect(migrated.dsn(), autocommit=True, options="-c search_path=ocpp") as one:
        def ask(sql, *values):
            return one.execute(sql, values).fetchone()

        assert ask("SELECT load_partition('meter_values', %s)", at) == (True,)
        assert ask("SELECT load_partition('meter_values', %s)", at) == (True,)
        with psycopg.connect(migrated.dsn(), autocommit=True,
                             options="-c search_path=ocpp") as two:
            def step():
                return two.execute("SELECT state, duplicates FROM finish_loading(%s)",
                                   [table]).fetchone()

            assert step() == ("busy", 0)
            assert ask("SELECT end_loading(%s)", table) == (True,)  # it was taken once
            assert step() == ("indexed", 0)
            assert ask("SELECT load_partition('meter_values', %s)", at) == (False,)
            assert days(migrated) == ["meter_values_2026_03_01"]
            assert step() == ("gone", 0)
            # A table in its place that is not a partition.
            assert ask("SELECT load_partition('meter_values', %s)", "2026-03-02") == (True,)
            one.execute("CREATE TABLE meter_values_2026_03_02 ()")
            one.execute("SELECT end_loading('meter_values_2026_03_02_loading')")
            for name, sql in (("load", "SELECT load_partition('meter_values', '2026-03-02')"),
                              ("ensure", "SELECT ensure_partition('meter_values', '2026-03-02')")):
                with pytest.raises(psycopg.Error, match="is where it belongs"):
                    one.execute(sql)
            table = "meter_values_2026_03_02_loading"
            assert step() == ("indexed", 0)
            with pytest.raises(psycopg.Error, match="is where it belongs"):
                step()
            one.execute("DROP TABLE meter_values_2026_03_02")
            assert step() == ("attached", 0)
            # Somebody dropped it, with its rows.
            assert ask("SELECT load_partition('meter_values', %s)", "2026-03-03") == (True,)
            one.execute("SELECT end_loading('meter_values_2026_03_03_loading')")
            one.execute("DROP TABLE meter_values_2026_03_03_loading")
            table = "meter_values_2026_03_03_loading"
            assert step() == ("gone", 0)


def test_down_is_refused_while_rows_wait(migrated):
    migrated.value("SELECT load_partition('meter_values', '2026-03-01')")
    done = run_cli(migrated.settings(), "migrate", "goto", "11")
    assert done.returncode == 5
    assert 'rows of a replay wait in table "meter_values_2026_03_01_loading"' in done.stderr
