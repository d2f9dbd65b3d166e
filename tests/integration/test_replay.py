"""`ocpp-persister replay`: old messages give the same tables as live ones."""

import glob
import gzip
import json
import os
import shutil
import signal
import subprocess
import time

import format_figures
import psycopg
import pytest
import rig
from conftest import BINARY, STATIONS, make_database, run_cli, stored

# Not what a station said, but when and by whom it was written here.
WRITTEN = {"added_at", "stored_at", "updated_at", "created_at", "spool", "seq",
           "first_charge_station_id"}
# Halves are what a process cannot hold in memory: another one may have held less.
SKIPPED = {"schema_migrations", "partitioned_tables", "ingest_progress", "exchange_halves",
           "forgotten_salt", "station_activity", "station_changes", "station_backfill",
           "energy_hours", "energy_pending"}
# A capture knows the time of receipt a little later than we did.
ARRIVAL = {"received_at", "result_received_at", "booted_at", "boot_digest", "last_heartbeat_at",
           "result_rank", "merge_state", "message_id", "distance_us", "resent_as"}
# What stations answered to the CSMS has the time of the answer in the store.
BY_ARRIVAL = {
    ("charge_station_triggers", "last_updated"): "NULL",
    ("charge_station_certificates", "last_updated"): "NULL",
    ("charge_station_settings", "last_updated"): "NULL",
    ("charge_station_settings", "settings"):
        "(SELECT jsonb_object_agg(k.key, k.value - '{LastUpdated,ValueAt}'::text[])"
        " FROM jsonb_each(settings) k)",
}


def contents(database, captured=False):
    """{table: its rows as sorted text}; captured: without what depends on the time of receipt."""
    found = {}
    with psycopg.connect(database.dsn(), options="-c search_path=ocpp") as connection:
        tables = connection.execute("""
            SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attnum)
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
            WHERE c.relnamespace = 'ocpp'::regnamespace AND c.relkind IN ('r', 'p')
              AND NOT c.relispartition AND NOT a.attisdropped
            GROUP BY 1 ORDER BY 1""").fetchall()
        tables.append(("stations", ["charge_station_id", "messages", "transactions", "vendor",
                                    "firmware_version"]))
        for table, columns in tables:
            if table in SKIPPED:
                continue
            shown = [c for c in columns if c not in WRITTEN and not (captured and c in ARRIVAL)]
            if captured:
                shown = [BY_ARRIVAL.get((table, c), c) for c in shown]
            if captured and "received_at" in columns:
                shown = ["CASE WHEN event_time <> received_at THEN event_time END"
                         if c == "event_time" else c for c in shown]
            found[table] = sorted(line for line, in connection.execute(
                f"SELECT ROW({', '.join(shown)})::text FROM {table}"))
    return found


def assert_equal(a, b, **kwargs):
    a, b = contents(a, **kwargs), contents(b, **kwargs)
    assert len(a["meter_values"]) > 500 and len(a["transactions"]) > 5
    for table in a:
        assert a[table] == b[table], table


def fleet(broker, messages, *options):
    subprocess.run([STATIONS, "--broker", broker.url, "--messages", str(messages), "--rate", "3000",
                    "--seed", "11", "--quiet", *options], check=True, capture_output=True,
                   timeout=rig.HANGS_S)


@pytest.fixture
def empty(postgres):
    """empty(): a migrated database with nothing in it, and the settings for it."""
    def make():
        database = make_database(postgres)
        assert run_cli(database.settings(), "migrate", "up").returncode == 0
        return database

    return make


def replay(database, *arguments, code=0, **kwargs):
    """The summary of a run."""
    done = run_cli(database.settings(), "replay", "--json", *map(str, arguments), **kwargs)
    assert done.returncode == code, done.stdout + done.stderr
    summary = json.loads(done.stdout)
    summary["stderr"] = done.stderr
    assert summary["messages"] == (summary["stored"] + summary["duplicate"]
                                   + summary["dead_lettered"] + summary["skipped"])
    return summary


@pytest.mark.parametrize("form, format", [(r"%U\t%q\t%r\t%t\t%D\t%x", "mixed"), ("%j", "json")])
def test_capture_gives_the_tables_that_live_gave(
        running, migrated, broker, empty, tmp_path, form, format):
    running()
    capture, talk = tmp_path / "capture", tmp_path / "talk"
    with open(talk, "wb") as out:
        sub = subprocess.Popen(["stdbuf", "-oL", "mosquitto_sub", "-V", "5", "-p",
                                str(broker.port), "-q", "1", "-t", "cs/#", "-F", form, "-d"],
                               stdout=out)

    def lines():
        """The lines of messages: with -d it also reports about itself."""
        return [line for line in talk.read_bytes().splitlines(True) if line[:1] in (b"{", b"1")]

    rig.wait_until(lambda: b"Subscribed" in talk.read_bytes(), 30, "mosquitto_sub subscribes")
    fleet(broker, 6000, "--format", format, "--duplicates", "3")
    stored(migrated, 6000)
    rig.wait_until(lambda: len(lines()) == 6000, 30, lambda: f"{len(lines())} captured")
    sub.kill()
    sub.wait()
    capture.write_bytes(b"".join(lines()))
    other = empty()
    first = replay(other, capture)
    assert first["records"] == 6000 and first["unreadable"] == 0
    assert_equal(migrated, other, captured=True)
    before = contents(other)
    again = replay(other, capture)
    assert again["stored"] == 0
    assert contents(other) == before
    # Nor beside what live has stored.
    assert replay(migrated, capture)["stored"] == 0


@pytest.fixture
def log(running, migrated, broker):
    """The folder of a log with some messages, which are in migrated, too."""
    p = running()
    fleet(broker, 9000, "--duplicates", "3")
    stored(migrated, 9000)
    p.stop()
    return p.settings["spool.dir"]


def test_own_log_gives_the_same_to_the_microsecond(log, migrated, empty):
    other = empty()
    assert replay(other, log)["records"] == 9000
    assert_equal(migrated, other)
    assert replay(other, log)["stored"] == 0
    assert replay(migrated, log)["stored"] == 0
    # Its place is forgotten once all is stored.
    assert other.value("SELECT count(*) FROM ingest_progress") == 0


def split(log, tmp_path, parts):
    """The messages of a log as files of lines, one of them packed."""
    done = run_cli({"spool.dir": log}, "spool", "export", "json")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines(keepends=True)
    folder = tmp_path / "lines"
    folder.mkdir()
    for part in range(parts):
        text = "".join(lines[part::parts])
        if part == 0:
            with gzip.open(folder / "0.jsonl.gz", "wt") as f:
                f.write(text)
        else:
            (folder / f"{part}.jsonl").write_text(text)
    return folder


def test_killed_jobs_go_on_where_they_were(log, migrated, empty, tmp_path):
    folder = split(log, tmp_path, 4)
    other = empty()
    settings = [f"--{key}={value}" for key, value in other.settings().items()]
    command = [BINARY, *settings, "--batch.messages_max=50", "replay", "--json", "--jobs", "4",
               "--rate", "4000", str(folder)]
    for kills in range(2):
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               start_new_session=True)
        rig.wait_until(lambda: other.value("SELECT coalesce(sum(seq), 0) FROM ingest_progress")
                       > 500 + 1500 * kills, 60, "it gets somewhere")
        os.killpg(run.pid, signal.SIGKILL)
        run.wait(rig.HANGS_S)
    last = replay(other, "--jobs", 4, folder)
    assert last["resumed"] and 0 < last["records"] < 9000
    # Another job may have stored the later of two copies of a message.
    assert_equal(migrated, other, captured=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_command_alone_ends_its_jobs(log, empty, tmp_path, number):
    folder = split(log, tmp_path, 2)
    other = empty()
    settings = [f"--{key}={value}" for key, value in other.settings().items()]
    run = subprocess.Popen([BINARY, *settings, "--batch.messages_max=50", "replay", "--json",
                            "--jobs", "2", "--rate", "1000", str(folder)], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    rig.wait_until(lambda: other.value("SELECT coalesce(sum(seq), 0) FROM ingest_progress") > 500,
                   60, "it gets somewhere")
    run.send_signal(number)
    out, _ = run.communicate(timeout=rig.HANGS_S)
    assert run.returncode == 1, out
    assert json.loads(out.splitlines()[-1])["records"] > 0
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)


def test_damage_is_reported_and_the_rest_is_used(log, migrated, empty, tmp_path):
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed (deploy/install-deps test)")
    [segment] = sorted(glob.glob(f"{log}/*.seg"))[:1]
    with open(segment, "rb") as f:
        data = f.read()
    frames = [subprocess.run(["zstd", "-q", "--check", "-c"], input=data[i:i + 300_000],
                             stdout=subprocess.PIPE, check=True).stdout
              for i in range(0, len(data), 300_000)]
    assert len(frames) > 4
    middle = bytearray(frames[2])
    middle[len(middle) // 2] ^= 1
    offset = sum(map(len, frames[:2]))
    packed = tmp_path / "damaged.seg.zst"
    packed.write_bytes(b"".join([*frames[:2], bytes(middle), *frames[3:]]))
    found = replay(empty(), packed, code=1)
    assert found["unreadable"] >= 1
    assert f'file={packed} byte=' in found["stderr"]
    at = int(found["stderr"].split("byte=")[1].split()[0])
    assert offset < at <= offset + len(middle)
    whole = tmp_path / "whole.seg.zst"
    whole.write_bytes(b"".join(frames))
    everything = replay(empty(), whole)
    assert everything["unreadable"] == 0
    assert 0.5 * everything["records"] < found["records"] < everything["records"]


def test_only_what_is_asked_for(log, empty):
    other = empty()
    found = replay(other, "--station", "cs0001", "--station", "cs0002", "--action", "MeterValues",
                   "--action", "TransactionEvent", log)
    assert found["skipped_reasons"]["filter"] > 8000
    assert {station for station, in other.rows("SELECT charge_station_id FROM meter_values")} \
        == {"cs0001", "cs0002"}
    assert {action for action, in other.rows("SELECT action FROM ocpp_events")} <= {
        "MeterValues", "TransactionEvent"}
    assert replay(empty(), "--to", "2026-01-01T00:00:00Z", log)["stored"] == 0


def test_dry_run_needs_no_database(log, migrated):
    done = run_cli({"storage.postgres.port": 1}, "replay", "--dry-run", log)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("would take 9000 records, 9000 messages")
    # As many as are made, repeats included.
    rows = int(done.stdout.split("rows for meter_values: ")[1].split()[0])
    assert rows >= migrated.value("SELECT count(*) FROM meter_values") > 0


def test_what_cannot_be_read_is_said_and_counted(empty, tmp_path):
    lines = ['1769837545 1 cs/in/ocpp1.6/cs001 ' + json.dumps(
        {"type": 2, "action": "Heartbeat", "id": "1", "request": {}}).encode().hex(),
        "nonsense", "", '1769837546 1 cs/in/ocpp1.6/cs001 ff',
        '{"tst":"2026-01-31T05:32:27Z","topic":"t","payloadlen":9,"payload":"{"}']
    capture = tmp_path / "capture"
    capture.write_text("\r\n".join(lines))
    database = empty()
    found = replay(database, capture, code=1)
    assert (found["records"], found["stored"], found["dead_lettered"]) == (2, 1, 1)
    assert found["unreadable"] == 2
    assert f'file={capture} line=2' in found["stderr"]
    assert f'file={capture} line=5 count=1 msg="capture truncated at NUL"' in found["stderr"]
    assert database.rows("SELECT received_at = '2026-01-31 05:32:25Z' FROM ocpp_events") == [
        (True,)]
    done = run_cli(database.settings(), "replay", "--lines", "{time}", capture)
    assert done.returncode == 2 and "is not a pattern of lines" in done.stderr
    done = run_cli(database.settings(), "replay", tmp_path / "not there")
    assert done.returncode == 1 and "could not open" in done.stderr


def test_capture_beside_segments_is_read_too(log, tmp_path):
    folder = shutil.copytree(log, tmp_path / "both")
    (folder / "more").write_text("1769837545 1 cs/in/ocpp1.6/cs001 " + json.dumps(
        [2, "more", "Heartbeat", {}]).encode().hex() + "\n")
    one, both = [json.loads(run_cli({}, "replay", "--json", "--dry-run", place).stdout)
                 for place in (log, folder)]
    assert (both["records"], both["unreadable"]) == (one["records"] + 1, 0)


def test_frames_of_2x_need_their_version():
    frame = '2026-01-31T05:32:25Z cs1 [2,"1","TransactionEvent",{}]\n'

    def run(*arguments):
        return run_cli({}, "replay", "--dry-run", *arguments, "-", input=frame)

    pattern = ["--lines", "{time} {station} {frame}"]
    refused = run(*pattern)
    assert refused.returncode == 1 and "--ocpp-version 2.0.1" in refused.stderr
    taken = run(*pattern, "--ocpp-version=2.0.1")
    assert taken.returncode == 0 and "rows for transaction_events: 1" in taken.stdout
    assert run(*pattern, "--ocpp-version", "3").returncode == 2
    assert run("--ocpp-version", "2.1").returncode == 2


def test_frames_from_standard_input(empty):
    frames = "".join(f'2026-01-31T10:00:{i:02}Z cs001 [2,"{i}","Heartbeat",{{}}]\n'
                     for i in range(30))
    database = empty()
    found = replay(database, "--lines", "{time} {station} {frame}", "-", input=frames)
    assert found["stored"] == 30
    assert database.rows("SELECT charge_station_id, count(*) FROM ocpp_events GROUP BY 1") == [
        ("cs001", 30)]


def test_time_without_a_zone_needs_one(empty):
    frames = "".join(f'2026-10-25 0{hour}:{minute:02}:00 cs001 [2,"{i}","Heartbeat",{{}}]\n'
                     for i, (hour, minute) in enumerate(
                         [(1, 30), (2, 15), (2, 45), (2, 20), (2, 50), (3, 0)]))
    database = empty()
    pattern = ["--lines", "{time} {station} {frame}"]
    done = run_cli(database.settings(), "replay", *pattern, "-", input=frames)
    assert done.returncode == 1 and "--zone" in done.stderr
    assert database.value("SELECT count(*) FROM ocpp_events") == 0
    assert replay(database, *pattern, "--zone", "Europe/Berlin", "-", input=frames)["stored"] == 6
    assert database.value("SELECT string_agg(to_char(received_at AT TIME ZONE 'UTC', 'HH24:MI'), "
                          "' ' ORDER BY received_at) FROM ocpp_events") == \
        "23:30 00:15 00:45 01:20 01:50 02:00"
    done = run_cli(database.settings(), "replay", *pattern, "--zone", "Berlin", "-", input=frames)
    assert done.returncode == 2 and "is not a time zone" in done.stderr


def test_frames_without_a_direction_are_what_live_stored(running, migrated, publish):
    running()
    talk = [("in", [2, "1", "DataTransfer", {"vendorId": "V"}]),
            ("out", [3, "1", {"status": "Accepted", "data": "x"}]),
            ("out", [2, "2", "Reset", {"type": "Soft"}]),
            ("in", [3, "2", {"status": "Accepted"}])]
    for direction, frame in talk:
        publish.raw(f"cs/{direction}/ocpp1.6/cs001", json.dumps(frame))
    stored(migrated, 4)
    lines = "".join(f"{received} cs001  {json.dumps(frame)} \n" for (received,), (_, frame) in zip(
        migrated.rows("SELECT extract(epoch FROM received_at) FROM ocpp_events "
                      "ORDER BY received_at"), talk))
    found = replay(migrated, "--lines", "{time} {station} {frame}", "-", input=lines)
    assert (found["stored"], found["duplicate"]) == (0, 4)


def test_answer_whose_call_is_not_in_the_log_is_of_no_other(migrated):
    """Both sides count from 1, and lines are missing."""
    lines = [f"2026-01-31T10:00:0{second}Z cs001 {json.dumps(frame)}\n"
             for second, frame in enumerate([
                 [2, "1", "Reset", {"type": "Soft"}],
                 [3, "1", {"idTagInfo": {"status": "Accepted"}}],
                 [2, "2", "Authorize", {"idTag": "T"}],
                 [3, "2", {"configurationKey": []}],
                 [2, "3", "Authorize", {"idTag": "U"}],
                 [2, "3", "Reset", {"type": "Hard"}],
                 [3, "3", {"status": "Rejected"}],
                 [3, "3", {"idTagInfo": {"status": "Blocked"}}]])]
    replay(migrated, "--lines", "{time} {station} {frame}", "-", input="".join(lines))
    assert migrated.rows("SELECT message_id, direction, reason FROM unmatched_events"
                         " ORDER BY 1, 3") == [
        ("1", "out", "call of the CSMS without an answer"), ("1", "out", "result without a call"),
        ("2", "in", "Authorize without an answer"), ("2", "in", "result without a call")]
    assert migrated.rows("SELECT message_id, response ->> 'status' FROM csms_calls ORDER BY 1") == [
        ("1", None), ("3", "Rejected")]


def test_each_documented_form_of_a_log_gives_the_same_tables(empty, tmp_path):
    """Those that bench/run measures."""
    count, wanted = 700, None
    for number, name in enumerate(format_figures.FORMS):
        path, database = tmp_path / f"log{number}", empty()
        found = replay(database, *format_figures.write(path, name, count), path)
        assert (found["stored"] + found["skipped"], found["records"]) == (count, count), name
        assert found["unreadable"] == 0, name
        # evcc's log has no fractions of a second.
        if name != "evcc":
            wanted = wanted or contents(database)
            assert contents(database) == wanted, name
    path = tmp_path / "values.csv"
    found = replay(empty(), *format_figures.write(path, format_figures.CSV, count), path)
    assert found["stored"] == count


def test_rate_is_kept(log, empty):
    begin = time.monotonic()
    assert replay(empty(), "--rate", 4000, log)["records"] == 9000
    assert time.monotonic() - begin >= 2


def test_database_that_goes_away_is_waited_for(log, migrated, workspace):
    cluster = rig.Postgres(workspace, fast=True, name="replayed").start()
    other = make_database(cluster)
    assert run_cli(other.settings(), "migrate", "up").returncode == 0
    command = [BINARY, *(f"--{k}={v}" for k, v in other.settings().items()), "replay", "--json",
               "--rate", "3000", log]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    rig.wait_until(lambda: other.value("SELECT coalesce(sum(seq), 0) FROM ingest_progress") > 1000,
                   60, "it gets somewhere")
    cluster.stop()
    cluster.start()
    out, _ = run.communicate(timeout=rig.HANGS_S)
    assert run.returncode == 0
    assert json.loads(out)["records"] == 9000
    assert_equal(migrated, other)
    cluster.stop()


def test_equal_content_at_other_times_counts_for_itself(empty, tmp_path):
    """An idle meter says the same every quarter of an hour; only some of it is there already."""
    lines = [f'17698536{i}0 1 cs/in/ocpp1.6/cs001 ' + json.dumps(
        [2, "1", "MeterValues", {"connectorId": 1, "meterValue": [
            {"timestamp": f"2026-01-31T10:{i}0:00Z", "sampledValue": [{"value": "7"}]}]}]
        ).encode().hex() for i in range(4)]
    database = empty()
    for count, new in ((1, 1), (4, 3)):
        capture = tmp_path / f"{count}"
        capture.write_text("\n".join(lines[:count]))
        found = replay(database, capture)
        assert (found["stored"], found["duplicate"]) == (new, count - new)


def test_message_over_the_limit_is_the_same_dead_letter_by_any_way(
        running, migrated, publish, empty, tmp_path):
    p = running({"mqtt.message_bytes_max": "100KiB"})
    payload = b"{" + b"x" * (100 << 10)
    publish.raw("cs/in/ocpp1.6/cs001", payload)
    publish.call("cs001", "Heartbeat", {})
    stored(migrated, 2)
    p.stop()
    settings = {"mqtt.message_bytes_max": "100KiB"}
    [received] = migrated.rows("SELECT extract(epoch FROM first_received_at) FROM dead_letters")
    ways = {"log": p.settings["spool.dir"]}
    for form in ("json", "maeve", "msgpack"):
        ways[form] = tmp_path / form
        with open(ways[form], "wb") as out:
            subprocess.run([BINARY, f"--spool.dir={p.settings['spool.dir']}", "spool", "export",
                            form], stdout=out, check=True)
    ways["capture"] = tmp_path / "capture"
    ways["capture"].write_text(f"{received[0]} 1 cs/in/ocpp1.6/cs001 {payload.hex()}\n")
    for way, source in ways.items():
        other = empty()
        done = run_cli({**other.settings(), **settings}, "replay", "--json", str(source))
        assert done.returncode == 0, way + done.stderr
        assert json.loads(done.stdout)["dead_lettered_reasons"] == {"oversized": 1}, way
        assert contents(other)["dead_letters"] == contents(migrated)["dead_letters"], way
        dry = run_cli(settings, "replay", "--dry-run", str(source))
        assert dry.returncode == 0 and "dead letters oversized: 1" in dry.stdout, way
