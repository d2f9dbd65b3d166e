"""What a service manager hears from the program, by the protocol of sd_notify(3), and what it
provides: a socket of our own stands in for systemd's."""

import os
import pathlib
import re
import secrets
import signal
import socket
import subprocess
import threading
import time

import psycopg
import pytest
import rig
from conftest import BINARY, ROOT, run_cli, stored
from test_migrate import golang_migrate_lock_id

WATCHDOG_US = 400_000
ROOT_DOCS = pathlib.Path(ROOT, "docs")


class Manager:
    """Listens at $NOTIFY_SOCKET, and keeps what it hears: {NAME: value} per datagram."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + path[1:] if path[0] == "@" else path)
        self.path, self.heard = path, []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            text = self.socket.recv(4096).decode()
            self.heard.append(dict(line.split("=", 1) for line in text.split("\n")))

    def environment(self, watchdog_us=None, pid=None):
        made = {"NOTIFY_SOCKET": self.path}
        if watchdog_us:
            made["WATCHDOG_USEC"] = str(watchdog_us)
        if pid:
            made["WATCHDOG_PID"] = str(pid)
        return made

    def named(self, name):
        """All values of that name, in order."""
        return [message[name] for message in list(self.heard) if name in message]

    def wait(self, name, condition=None, count=1):
        """The count-th value of that name that fulfills the condition."""
        def look():
            found = [v for v in self.named(name) if condition is None or condition(v)]
            return found[count - 1:count]

        return rig.wait_until(look, rig.STILL_S, lambda: f"{name} among {self.heard}")[0]

    def order(self, *names):
        """In which order the first of each of these came."""
        firsts = [name for message in list(self.heard) for name in message if name in names]
        return list(dict.fromkeys(firsts))


@pytest.fixture(params=["path", "abstract"])
def manager(request, workspace):
    if request.param == "path":
        return Manager(os.path.join(workspace.path, f"notify{secrets.token_hex(4)}"))
    return Manager(f"@ocpp-persister-test-{secrets.token_hex(8)}")


@pytest.fixture
def listening(workspace):
    return Manager(f"@ocpp-persister-test-{secrets.token_hex(8)}")


def test_ready_watchdog_reload_and_stopping(manager, persister, migrated, broker, publish,
                                            tmp_path):
    settings = tmp_path / "ocpp.ini"
    settings.write_text("[log]\nlevel = info\n")
    settings.chmod(0o600)
    environment = {"OCPP_PERSISTER_CONFIG": str(settings), **manager.environment(WATCHDOG_US)}
    p = persister({**migrated.writer_settings(), **broker.settings()},
                  environment=environment).start()
    manager.wait("READY")
    # It is as ready as READY says, and has asked for the time that it took.
    assert p.http("/readyz") == (200, "ready\n")
    assert manager.order("EXTEND_TIMEOUT_USEC", "READY") == ["EXTEND_TIMEOUT_USEC", "READY"]
    assert manager.named("STATUS")[0] == "starting: the log is opened"
    manager.wait("STATUS", lambda text: text.startswith("receiving and storing: "))
    manager.wait("WATCHDOG", count=5)
    # While it runs it reports READY again only after it has read its settings again.
    assert manager.named("READY") == ["1"]
    os.kill(p.pid, signal.SIGHUP)
    manager.wait("READY", count=2)
    begins = [n for n, message in enumerate(manager.heard) if "RELOADING" in message]
    ends = [n for n, message in enumerate(manager.heard) if "READY" in message]
    assert len(begins) == 1 and ends[0] < begins[0] < ends[1]
    assert int(manager.heard[begins[0]]["MONOTONIC_USEC"]) > 0
    # Settings that cannot be read end the reload, too, and it is seen.
    publish.call("cs1", "Heartbeat", {})
    p.wait_metric("ocpp_persister_messages_total", 1)
    settings.write_text("[log]\nlevel = loud\n")
    os.kill(p.pid, signal.SIGHUP)
    manager.wait("READY", count=3)
    assert manager.wait("STATUS", lambda text: "not be read" in text) == (
        "receiving and storing: messages so far 1, records waiting in the log 0; "
        "the settings could not be read again")
    assert p.stop() == 0
    stopping = next(message for message in manager.heard if "STOPPING" in message)
    assert stopping["STOPPING"] == "1" and stopping["STATUS"].startswith("stopping: ")
    # As long as it may take: operating.md says 13 s, and the log is closed after that.
    assert int(stopping["EXTEND_TIMEOUT_USEC"]) >= 13_000_000


def test_ready_also_while_it_waits_and_says_what_for(listening, persister, migrated, broker):
    broker.stop()
    p = persister({**migrated.settings(), **broker.settings()},
                  environment=listening.environment()).start()
    listening.wait("READY")
    status = listening.wait("STATUS", lambda text: text.startswith("waiting: no broker: "))
    assert "refused" in status and str(broker.port) in status
    assert listening.named("WATCHDOG") == [], "nobody asked for it"
    broker.start()
    listening.wait("STATUS", lambda text: text.startswith("receiving and storing: "))
    assert listening.named("READY") == ["1"]
    assert p.stop() == 0


def test_ready_also_if_nobody_answers(listening, persister):
    """Two ports that take connections and say nothing: it is not known yet what it waits for."""
    silent = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [s.getsockname()[1] for s in silent]
    p = persister({"mqtt.url": f"mqtt://127.0.0.1:{ports[0]}", "mqtt.connect_timeout": "5min",
                   "storage.postgres.connect_timeout": "5min",
                   "storage.postgres.host": "127.0.0.1", "storage.postgres.port": ports[1]},
                  environment=listening.environment()).start()
    listening.wait("READY")
    assert listening.named("STATUS")[-1].startswith("waiting: no broker")
    p.kill9()


def test_what_cannot_run_is_never_ready_and_says_why(listening, persister, database, broker):
    p = persister({**database.settings(), **broker.settings()},
                  environment=listening.environment()).start()
    assert p.wait_exit() == 5
    assert listening.named("READY") == []
    assert "schema" in listening.wait("STATUS", lambda text: text.startswith("stopping: "))


def test_loop_runs_while_a_migration_waits(listening, persister, database, broker, publish,
                                             tmp_path):
    """Another migration holds the lock: until it ends, that of `run --migrate` waits."""
    settings = tmp_path / "ocpp.ini"
    settings.write_text("[log]\nlevel = info\n")
    settings.chmod(0o600)
    environment = {"OCPP_PERSISTER_CONFIG": str(settings), **listening.environment(WATCHDOG_US)}
    with psycopg.connect(database.dsn(), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (golang_migrate_lock_id(database.name),))
        p = persister({**database.settings(), **broker.settings()},
                      environment=environment).start("--migrate")
        listening.wait("STATUS", lambda text: text.startswith("migrating: "))
        listening.wait("EXTEND_TIMEOUT_USEC", lambda us: int(us) > 3600_000_000)
        p.wait_event("broker_connected")
        publish.call("cs1", "Heartbeat", {})
        p.wait_metric("ocpp_persister_mqtt_messages_received_total", 1)
        listening.wait("WATCHDOG", count=len(listening.named("WATCHDOG")) + 5)
        assert p.http("/healthz") == (200, "ok\n")
        assert p.http("/readyz") == (503, "the schema is being brought up to date\n")
        settings.write_text("[pairing]\nwindow = 30min\n")
        os.kill(p.pid, signal.SIGHUP)
        p.wait_event("reloaded")
        assert listening.named("READY") == []
    listening.wait("READY")
    stored(database, 1)
    assert p.stop() == 0


def test_watchdog_of_another_process_is_none_of_ours(listening, persister, broker, migrated):
    p = persister({**migrated.settings(), **broker.settings()},
                  environment=listening.environment(WATCHDOG_US, pid=1)).start()
    listening.wait("READY")
    assert p.stop() == 0
    assert listening.named("WATCHDOG") == []


@pytest.mark.parametrize("address", ["relative", "/", "/" + "x" * 200, "vsock:2:1"])
def test_socket_that_cannot_be_used_is_said_and_nothing_else(address, persister):
    p = persister({"mqtt.url": f"mqtt://127.0.0.1:{rig.free_port()}"},
                  environment={"NOTIFY_SOCKET": address}).start()
    p.wait_event("notify_unusable")
    p.wait_event("started")
    assert p.stop() == 0


def test_credentials_are_found_by_their_names(workspace, persister, migrated, tmp_path):
    broker = rig.Broker(workspace, passwords={"us": "of the broker"}, name="with_password").start()
    settings = {**migrated.settings(), **broker.settings(), "mqtt.user": "us"}
    (tmp_path / "storage.postgres.password").write_text(
        settings.pop("storage.postgres.password") + "\n")
    (tmp_path / "mqtt.password").write_text("of the broker\n")
    (tmp_path / "somebody.elses").write_text("\0")
    p = persister(settings, environment={"CREDENTIALS_DIRECTORY": str(tmp_path)}).start()
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    assert p.stop() == 0
    broker.stop()
    # Stronger than the settings file, weaker than the environment.
    path = tmp_path / "ocpp.ini"
    path.write_text("[mqtt]\npassword = of the file\n")
    path.chmod(0o600)
    for environment, origin in (({}, str(tmp_path / "mqtt.password")),
                                ({"MQTT_PASSWORD": "x"}, "environment MQTT_PASSWORD")):
        said = run_cli({}, "--config", str(path), "config", "print", env={
            **os.environ, "CREDENTIALS_DIRECTORY": str(tmp_path), **environment}).stdout
        assert re.search(rf"^password = \*+ # {re.escape(origin)}$", said, re.M), said
        assert "of the" not in said


UNITS = ["ocpp-persister.service", "ocpp-persister@.service"]


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """The folder with the units as they are installed, for a program that is there."""
    prefix = tmp_path_factory.mktemp("units")
    subprocess.run(["cmake", "--install", os.path.dirname(BINARY), "--prefix", prefix,
                    "--component", "daemon"], check=True, capture_output=True)
    folder = prefix / "lib/systemd/system"
    for unit in UNITS:
        text = (folder / unit).read_text()
        (folder / unit).write_text(text.replace("=/usr/local/bin/ocpp-persister", f"={BINARY}"))
    return folder


def systemd_analyze(*arguments):
    try:
        return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("systemd-analyze is not installed (deploy/install-deps test)")


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_right_and_exposes_little(units, unit):
    done = systemd_analyze("verify", "--man=no", units / unit)
    ours = [line for line in done.stderr.splitlines() if "ocpp-persister" in line]
    assert ours == [] and done.returncode == 0, done.stderr
    done = systemd_analyze("security", "--offline=true", "--no-pager", units / unit)
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert level, done.stdout + done.stderr
    assert float(level[1]) <= 2.0, done.stdout


@pytest.mark.parametrize("unit", UNITS)
def test_unit_restarts_except_where_a_person_is_needed(units, unit):
    text = (units / unit).read_text()
    assert re.search(r"^Type=notify$", text, re.M) and re.search(r"^Restart=always$", text, re.M)
    prevented = re.search(r"^RestartPreventExitStatus=([\d ]+)$", text, re.M)[1].split()
    table = re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$",
                       (ROOT_DOCS / "operating.md").read_text(), re.M)
    codes = re.findall(r"^\tEXIT_CODE_\w+ = (\d+)",
                       (ROOT_DOCS.parent / "consumer/cli/cli.h").read_text(), re.M)
    assert [code for code, _ in table] == codes
    assert prevented == [code for code, what in table if what.startswith("leaves it `failed`")]


def test_workers_of_the_template_share_nothing_that_they_must_not(units):
    text = (units / "ocpp-persister@.service").read_text()
    values = dict(re.findall(r"(\w+)=(\S+)", re.search(r"^Environment=(SPOOL_DIR.*)$", text,
                                                       re.M)[1]))
    folder = re.search(r"^StateDirectory=(\S+)$", text, re.M)[1]
    assert values["SPOOL_DIR"] == f"%S/{folder}/spool" and "%i" in folder
    seen = set()
    for worker in "0123456789":
        settings = {"spool.dir": values["SPOOL_DIR"].replace("%i", worker),
                    "http.listen": values["HTTP_LISTEN"].replace("%i", worker)}
        assert run_cli(settings, "config", "check").stdout.startswith("ok (")
        seen.add(tuple(settings.values()))
    assert len(seen) == 10
