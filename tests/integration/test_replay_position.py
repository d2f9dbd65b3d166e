"""Where an interrupted replay continues: a position belongs to content, not to a name."""

import gzip
import json
import os
import signal
import subprocess
import threading

import pytest
import rig
from conftest import BINARY, make_database, run_cli


@pytest.fixture
def database(postgres):
    database = make_database(postgres)
    assert run_cli(database.settings(), "migrate", "up").returncode == 0
    return database


def capture(first, count, station="cs001"):
    """Lines of a capture: messages first, first + 1, ..., each with an id of its own."""
    return "".join(
        f"{1769837545 + i} 1 cs/in/ocpp1.6/{station} " + json.dumps(
            [2, str(i), "Heartbeat", {}]).encode().hex() + "\n"
        for i in range(first, first + count))


def command(database, *arguments, options=()):
    options = [*(f"--{key}={value}" for key, value in database.settings().items()), *options]
    return [BINARY, *options, "--batch.messages_max=10", "replay", "--json", *map(str, arguments)]


def replay(database, *arguments, input=None):
    done = subprocess.run(command(database, *arguments), input=input, capture_output=True,
                          text=True, timeout=rig.HANGS_S)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    summary["stderr"] = done.stderr
    return summary


def interrupt(database, *arguments, text=None, how=signal.SIGKILL, after=100, options=()):
    """Begins a replay and ends it before its end; how far it was."""
    run = subprocess.Popen(command(database, "--rate", "150", *arguments, options=options),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           stdin=subprocess.PIPE if text else None, text=True)
    if text:
        feeder = threading.Thread(target=lambda: (run.stdin.write(text), run.stdin.close()))
        feeder.start()
        feeder.join()
    rig.wait_until(lambda: database.value("SELECT coalesce(max(seq), 0) FROM ingest_progress")
                   >= after, 60, "it gets somewhere")
    run.send_signal(how)
    run.wait(rig.HANGS_S)
    run.stdout.close()
    run.stderr.close()
    assert run.returncode != 0
    # The server notices only later than the kill that its connection is gone.
    rig.wait_until(lambda: database.value(
        "SELECT count(*) FROM ingest_progress p JOIN pg_stat_activity a ON a.pid = p.backend_pid")
        == 0, 30, "the connection ends")
    return database.value("SELECT max(seq) FROM ingest_progress")


def ids(database):
    return sorted(int(i) for i, in database.rows("SELECT message_id FROM ocpp_events"))


@pytest.mark.parametrize("setting", ["--retention.ocpp_events=90d", "--dedupe.window=1d"])
def test_what_another_setting_left_out_is_stored(database, tmp_path, setting):
    """Equal messages within a day are repeats, and all of them are older than 90 days."""
    export = tmp_path / "export.log"
    export.write_text("".join(
        f"{1769837545 + 3600 * i} 1 cs/in/ocpp1.6/cs001 " + json.dumps(
            [2, "same", "Heartbeat", {}]).encode().hex() + "\n" for i in range(1000)))
    interrupt(database, export, options=[setting])
    found = replay(database, export)
    assert found["resumed"] is False
    assert database.value("SELECT count(*) FROM ocpp_events") == 1000


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_other_content_under_the_same_name_is_stored_whole(database, tmp_path, how):
    export = tmp_path / "export.log"
    export.write_text(capture(0, 1000))
    stopped = interrupt(database, export, how=how)
    export.write_text(capture(5000, 1000))
    found = replay(database, export)
    assert (found["resumed"], found["records"], found["stored"]) == (False, 1000, 1000)
    assert f"event=other_content interrupted_after={stopped}" in found["stderr"]
    assert set(ids(database)) >= set(range(5000, 6000))
    assert len(ids(database)) == stopped + 1000


def test_other_content_of_standard_input_is_stored_whole(database):
    stopped = interrupt(database, "-", text=capture(0, 1000))
    found = replay(database, "-", input=capture(5000, 1000))
    assert (found["resumed"], found["stored"]) == (False, 1000)
    # And the same content goes on, although nothing but its bytes says what it is.
    found = replay(database, "-", input=capture(0, 1000))
    assert (found["resumed"], found["records"]) == (True, 1000 - stopped)
    assert ids(database) == [*range(1000), *range(5000, 6000)]


@pytest.mark.parametrize("equal", [1, 60, 99])
def test_content_that_only_begins_the_same_is_stored_whole(database, tmp_path, equal):
    export = tmp_path / "export.log"
    export.write_text(capture(0, 600))
    stopped = interrupt(database, export)
    assert stopped > equal
    export.write_text(capture(0, equal) + capture(5000, 600))
    found = replay(database, export)
    assert not found["resumed"] and found["records"] == 600 + equal
    assert found["stored"] == 600 and found["duplicate"] == equal
    assert set(ids(database)) == {*range(stopped), *range(5000, 5600)}


def test_one_message_changed_among_those_stored_is_noticed(database, tmp_path):
    export = tmp_path / "export.log"
    export.write_text(capture(0, 600))
    interrupt(database, export)
    export.write_text(capture(0, 50) + capture(7000, 1) + capture(51, 549))
    found = replay(database, export)
    assert not found["resumed"] and found["records"] == 600
    assert set(ids(database)) >= {7000, *range(600)}


def test_file_that_has_grown_goes_on_after_its_old_end(database, tmp_path):
    export = tmp_path / "export.log"
    export.write_text(capture(0, 400))
    stopped = interrupt(database, export)
    export.write_text(capture(0, 700))
    found = replay(database, export)
    assert found["resumed"] and found["records"] == 700 - stopped
    assert ids(database) == list(range(700))


def test_last_line_that_was_being_written_is_read_again_when_it_is_whole(database, tmp_path):
    export = tmp_path / "export.log"
    whole = capture(0, 200)
    export.write_text(whole[:-1].rsplit("\n", 1)[0] + "\n" + whole[:-1].rsplit("\n", 1)[1][:-8])
    run = subprocess.Popen(command(database, "--rate", "100", export), stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    rig.wait_until(lambda: database.value("SELECT coalesce(max(seq), 0) FROM ingest_progress")
                   >= 190, 60, "it gets near the end")
    run.kill()
    run.wait(rig.HANGS_S)
    export.write_text(whole)
    replay(database, export)
    assert set(ids(database)) == set(range(200))


def test_file_that_has_shrunk_begins_anew(database, tmp_path):
    export = tmp_path / "export.log"
    export.write_text(capture(0, 1000))
    stopped = interrupt(database, export)
    export.write_text(capture(0, 50))
    found = replay(database, export)
    assert not found["resumed"] and found["records"] == found["duplicate"] == 50
    # What was after the cut comes with the next one.
    export.write_text(capture(0, 50) + capture(2000, 100))
    assert replay(database, export)["stored"] == 100
    assert set(ids(database)) == {*range(stopped), *range(2000, 2100)}


@pytest.mark.parametrize("what", ["renamed", "packed", "rotated", "joined"])
def test_same_content_is_recognised_under_another_name(database, tmp_path, what):
    export, text = tmp_path / "export.log", capture(0, 800)
    export.write_text(text)
    stopped = interrupt(database, export)
    sources = [tmp_path / "export.log.1"]
    os.rename(export, sources[0])
    if what == "packed":
        os.unlink(sources[0])
        sources = [tmp_path / "export.log.1.gz"]
        with gzip.open(sources[0], "wt") as f:
            f.write(text)
    if what == "rotated":  # what was written meanwhile went into a new file of the old name
        export.write_text(capture(800, 100))
        sources.append(export)
    if what == "joined":
        lines = text.splitlines(keepends=True)
        for i in range(0, 800, 200):
            (tmp_path / f"part{i}").write_text("".join(lines[i:i + 200]))
        sources = [tmp_path / f"part{i}" for i in range(0, 800, 200)]
    found = replay(database, *sources)
    total = 900 if what == "rotated" else 800
    assert found["resumed"] and found["records"] == total - stopped
    assert ids(database) == list(range(total))


@pytest.mark.parametrize("source", ["-", "file"])
@pytest.mark.parametrize("same", [False, True])
def test_two_at_once_both_end_and_all_is_stored(database, tmp_path, source, same):
    texts = [capture(0, 1500), capture(0 if same else 5000, 1500)]
    export = tmp_path / "export.log"
    runs = []
    for text in texts:
        if source == "file":
            # Each opens what is there under the name when it starts.
            made = tmp_path / "new"
            made.write_text(text)
            os.rename(made, export)
        run = subprocess.Popen(command(database, "--rate", "1000",
                                       "-" if source == "-" else export),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               stdin=subprocess.PIPE, text=True)
        if source == "-":
            run.stdin.write(text)
            run.stdin.close()
            run.stdin = None
        else:
            rig.wait_until(lambda: database.value("SELECT count(*) FROM ingest_progress")
                           > len(runs), 60, "it has opened the file")
        runs.append(run)
    for run in runs:
        out, err = run.communicate(timeout=rig.HANGS_S)
        assert run.returncode == 0, err
        assert json.loads(out)["records"] == 1500
    expected = set(range(1500)) | (set() if same else set(range(5000, 6500)))
    assert set(ids(database)) == expected and len(ids(database)) == len(expected)
    assert database.value("SELECT count(*) FROM ingest_progress") == 0


@pytest.mark.parametrize("asked", [["--station", "cs001"],
                                   ["--mqtt.topic_patterns=other/{station}"]])
def test_what_was_passed_over_for_other_reasons_is_not_done_with(database, tmp_path, asked):
    export = tmp_path / "export.log"
    export.write_text(capture(0, 300) + capture(300, 300, "cs002"))
    interrupt(database, *(["--station", "cs009"] if "--station" in asked else asked), export)
    found = replay(database, export)
    assert not found["resumed"] and found["stored"] == 600


@pytest.mark.parametrize("by", [-1, 100])
def test_position_whose_digest_does_not_fit_is_not_believed(database, tmp_path, by):
    export = tmp_path / "export.log"
    export.write_text(capture(0, 400))
    stopped = interrupt(database, export)
    database.rows(f"UPDATE ingest_progress SET seq = {stopped + by}")
    export.write_text(capture(0, 600))  # so that there is content up to any such position
    found = replay(database, export)
    assert not found["resumed"] and found["records"] == 600
    assert ids(database) == list(range(600))


def test_rows_of_replays_do_not_pile_up(database, tmp_path):
    database.rows("""
        INSERT INTO ingest_progress (spool, seq, client_id, asked, updated_at)
        SELECT gen_random_uuid(), 7, 'replay', '\\x00', now() - n * interval '1 hour'
        FROM generate_series(1, 150) n""")
    # A worker may have any client id: that is not a sign of a replay.
    database.rows("INSERT INTO ingest_progress (spool, seq, client_id, updated_at) "
                  "VALUES (gen_random_uuid(), 7, 'replay', now() - interval '1 year')")
    export = tmp_path / "export.log"
    export.write_text(capture(0, 10))
    assert replay(database, export)["stored"] == 10
    assert database.rows("SELECT asked IS NULL, count(*), min(updated_at) > now() - interval "
                         "'101 hours' FROM ingest_progress GROUP BY 1 ORDER BY 1") == [
        (False, 100, True), (True, 1, False)]
