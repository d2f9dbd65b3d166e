"""What the program does on a signal, and when it stops by itself."""

import fcntl
import glob
import os
import signal
import struct
import subprocess
import termios

import pytest
import rig
from conftest import BINARY, run_cli, stored


def settings_file(tmp_path, settings, level):
    path = tmp_path / "ocpp.ini"
    lines = [f"{key.split('.')[-1]} = {value}" for key, value in settings.items()]
    path.write_text("[log]\nlevel = " + level + "\n[batch]\n" + "\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


def test_hangup_reads_the_settings_again(running, publish, migrated, tmp_path):
    path = settings_file(tmp_path, {"messages_max": 100}, "info")
    p = running(environment={"OCPP_PERSISTER_CONFIG": str(path)})
    publish.call("cs1", "Heartbeat", {})
    stored(migrated, 1)
    assert p.events("stored") == []
    settings_file(tmp_path, {"messages_max": 200, "bytes_max": "1MiB"}, "debug")
    os.kill(p.pid, signal.SIGHUP)
    said = p.wait_event("reloaded", log_level="debug")["changed"]
    assert said == "batch.bytes_max, batch.messages_max, log.level"
    assert not p.events("not_reloaded")
    publish.call("cs1", "Heartbeat", {}, id="2")
    p.wait_event("stored")
    # Settings that are wrong change nothing.
    path.write_text("[log]\nlevel = loud\n")
    os.kill(p.pid, signal.SIGHUP)
    assert "loud" in p.wait_event("reload_failed")["msg"]
    settings_file(tmp_path, {"messages_max": 100}, "info")
    os.kill(p.pid, signal.SIGHUP)
    p.wait_event("reloaded", log_level="info")
    publish.call("cs1", "Heartbeat", {}, id="3")
    stored(migrated, 3)
    assert p.stop() == 0


def test_usr1_begins_a_new_segment(running, publish, migrated):
    p = running()
    folder = p.settings["spool.dir"]
    publish.call("cs1", "Heartbeat", {})
    stored(migrated, 1)
    for n in (2, 3):
        os.kill(p.pid, signal.SIGUSR1)
        p.wait_event("log_rotates", count=n - 1)
        # The spare is made meanwhile; until it is there messages go into the old one.
        rig.wait_until(lambda: os.path.exists(f"{folder}/spare.tmp"), 60, "the spare")
        publish.call("cs1", "Heartbeat", {}, id=str(n))
        stored(migrated, n)

        def segments():
            return len(glob.glob(f"{folder}/*.seg*")) >= n

        rig.wait_until(segments, 60, lambda: str(os.listdir(folder)))
    assert p.stop() == 0
    done = run_cli({"spool.dir": folder}, "spool", "verify")
    assert done.returncode == 0 and done.stdout.startswith("3 records in"), done.stdout


def test_no_signal_of_the_usual_ones_ends_it_unseen(running, publish, migrated):
    p = running()
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
        os.kill(p.pid, number)
    p.wait_event("signal_ignored", signal=int(signal.SIGUSR2))
    publish.call("cs1", "Heartbeat", {})
    stored(migrated, 1)
    assert p.stop() == 0


def test_signals_during_the_start_do_not_end_it(persister, migrated, broker):
    """From the first moment on; what came early is done once it runs."""
    p = persister({**migrated.settings(), **broker.settings()}).start()

    def holds():
        with open(f"/proc/{p.pid}/status") as f:
            held = [line for line in f if line.startswith(("SigBlk:", "SigCgt:"))]
        return any(int(line.split()[1], 16) >> (signal.SIGHUP - 1) & 1 for line in held)

    rig.wait_until(holds, 60, "the signals are taken")
    os.kill(p.pid, signal.SIGHUP)
    os.kill(p.pid, signal.SIGUSR1)
    p.wait_event("reloaded")
    p.wait_event("database_connected")
    assert p.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_commands_end_as_process_1_of_a_container(number):
    """The kernel ignores signals that process 1 does not handle."""
    alone = ["unshare", "--pid", "--fork", "--kill-child"]
    done = subprocess.run([*alone, "true"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a process cannot be process 1 here, which needs root: {done.stderr}")
    run = subprocess.Popen([*alone, BINARY, "replay", "--dry-run", "--lines",
                            "{time} {station} {frame}", "-"], stdin=subprocess.PIPE,
                           stdout=subprocess.DEVNULL)

    def unread():
        """Bytes in the pipe that it has not taken."""
        return struct.unpack("i", fcntl.ioctl(run.stdin, termios.FIONREAD, bytes(4)))[0]

    try:
        run.stdin.write(b'2026-02-01T12:00:00Z cs001 [2,"1","Heartbeat",{}]\n')
        run.stdin.flush()
        rig.wait_until(lambda: unread() == 0, what="it reads")
        child, = rig.children(run.pid)
        os.kill(child, number)
        assert run.wait(rig.HANGS_S) == 128 + number
    finally:
        run.kill()
        run.wait()


def test_after_a_failure_it_stops_without_waiting(persister, database, broker):
    """The schema is missing, so that there is no batch to wait for."""
    p = persister({**database.settings(), **broker.settings()}).start()
    p.wait_event("stopping")
    assert p.wait_exit() == 5
    assert p.events("stopped", failed=1) and not p.events("stop_cut_short")
