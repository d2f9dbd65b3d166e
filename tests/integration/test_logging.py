"""What the program writes to stderr: times, formats, and how the journal gets it."""

import datetime
import json
import os
import re
import signal
import subprocess

import rig
from conftest import BINARY, run_cli, stored
from test_signals import settings_file


def text_of(persister):
    with open(persister.log) as f:
        return f.read()


def test_each_line_has_the_time_of_its_event(running, publish, migrated):
    before = datetime.datetime.now(datetime.timezone.utc)
    p = running()
    publish.call("cs1", "Heartbeat", {})
    stored(migrated, 1)
    assert p.stop() == 0
    after = datetime.datetime.now(datetime.timezone.utc)
    lines = text_of(p).splitlines()
    times = []
    for line in lines:
        found = re.match(r"ts=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z level=\w+ event=\w+", line)
        assert found, line
        times.append(datetime.datetime.fromisoformat(found[1] + "+00:00"))
    second = datetime.timedelta(seconds=1)
    assert len(times) > 3 and before - second < times[0] and times[-1] < after + second


def test_json_says_what_logfmt_says(running, publish, migrated, tmp_path):
    hostile = str(tmp_path / 'a" level=error b\\n')
    p = running({"log.format": "json", "spool.dir": hostile, "log.level": "debug"})
    publish.call("cs1", "Heartbeat", {})
    stored(migrated, 1)
    assert p.stop() == 0
    lines = [json.loads(line) for line in text_of(p).splitlines()]
    events = {line["event"]: line for line in lines}
    assert events["log_opened"]["dir"] == hostile
    assert events["log_opened"]["last_seq"] == 0
    assert events["stored"]["level"] == "debug" and events["stored"]["messages"] == 1
    assert all(line["ts"].endswith("Z") for line in lines)


def test_format_changes_on_hangup(running, migrated, tmp_path):
    path = settings_file(tmp_path, {}, "info")
    p = running(environment={"OCPP_PERSISTER_CONFIG": str(path)})
    path.write_text("[log]\nformat = json\n")
    os.kill(p.pid, signal.SIGHUP)
    rig.wait_until(lambda: '"event":"reloaded"' in text_of(p), rig.STILL_S, lambda: text_of(p))
    assert "not_reloaded" not in text_of(p)


def said_to_the_journal(*arguments, journal=None):
    """JOURNAL_STREAM names the journal's socket, whether or not stderr still is that socket."""
    ours, theirs = os.pipe()
    with os.fdopen(ours) as out:
        st = os.fstat(theirs)
        stream = journal or f"{st.st_dev}:{st.st_ino}"
        subprocess.run([BINARY, *arguments], stderr=theirs, stdout=subprocess.DEVNULL,
                       env={**os.environ, "JOURNAL_STREAM": stream})
        os.close(theirs)
        return out.read()


def test_the_journal_gets_priorities_and_no_times(tmp_path):
    path = tmp_path / "frames"
    path.write_text("no frame\n")
    dry = ["replay", "--dry-run", str(path)]
    assert re.match(r"<[34]>level=\w+ event=", said_to_the_journal(*dry))
    assert re.match(r"ts=\S+Z level=\w+ event=", said_to_the_journal(*dry, journal="1:2"))


def test_why_it_could_not_start_is_logged_like_everything_else():
    """Otherwise `journalctl -p err` does not have it, and what reads JSON stumbles over it."""
    wrong = ["--http.listen=", "--spool.dir=/dev/null/log"]
    done = run_cli({"log.format": "json"}, *wrong, "run")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 6 and lines[-1]["event"] == "failed", done
    assert lines[-1]["level"] == "error" and "/dev/null/log" in lines[-1]["msg"]
    lines = said_to_the_journal(*wrong, "run").splitlines()
    assert lines[-1].startswith("<3>level=error event=failed "), lines
    assert said_to_the_journal("--log.level=loud", "run").startswith("<3>error: ")


def test_one_dead_letter_is_told_and_many_are_counted(running, publish, migrated):
    p = running()
    publish.raw("cs/in/ocpp1.6/123", b'[2,"1","BootNotification",{"chargePointVendor":')
    line = p.wait_event("dead_letter")
    assert line["level"] == "warn" and line["station"] == "123" and line["reason"]
    for n in range(50):
        publish.raw("cs/in/ocpp1.6/cs1", b"{" + str(n).encode())
    stored(migrated, 51)
    assert len(p.events("dead_letter")) == 1
