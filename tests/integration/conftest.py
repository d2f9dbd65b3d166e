"""Fixtures: real servers of our own, started by bench/rig.py. See tests/README.md."""

import contextlib
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import threading

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "bench"))

import paho.mqtt.client as mqtt  # noqa: E402
import psycopg  # noqa: E402
from paho.mqtt.packettypes import PacketTypes  # noqa: E402
from paho.mqtt.properties import Properties  # noqa: E402
import rig  # noqa: E402
from world import World  # noqa: E402

BUILD = os.environ.get("OCPP_PERSISTER_BUILD", os.path.join(ROOT, "build", "dev"))
BINARY = os.path.join(BUILD, "ocpp-persister")
STATIONS = os.path.join(BUILD, "ocpp-stations")
LEDGER = os.path.join(ROOT, "bench", "ledger", "ledger.py")


def has_failpoints():
    """Can this build make file operations fail on demand? Here the first one is to fail."""
    done = subprocess.run([BINARY, "decode", "--topic", "t", __file__], capture_output=True,
                          env={**os.environ, "FAILPOINT": "fs:1:kill"})
    return done.returncode < 0


needs_failpoints = pytest.mark.skipif(
    not os.path.exists(BINARY) or not has_failpoints(),
    reason="this build has no failpoints (cmake -DFAILPOINTS=ON, as in the preset dev)")

_numbers = itertools.count()


@pytest.fixture(scope="session")
def workspace():
    with rig.Workspace() as w:
        yield w


@pytest.fixture
def tmp_path(workspace):
    """In the workspace, so that it goes with it; pytest's own stay in /tmp."""
    path = pathlib.Path(workspace.path, f"tmp{next(_numbers)}")
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def postgres(workspace):
    """One cluster per test file. Tests that kill it start one of their own."""
    return rig.Postgres(workspace, fast=True).start()


class Database:
    """A database of its own in a cluster."""

    def __init__(self, cluster, name, user="postgres", password=None):
        self.cluster, self.name, self.user, self.password = cluster, name, user, password
        self._connections = []

    def settings(self, port=None):
        return self.cluster.settings(self.name, self.user, self.password, port)

    def writer_settings(self, port=None):
        """As a persister should connect: with the rights of ocpp_writer, and no others. The
        database is migrated."""
        with psycopg.connect(self.cluster.dsn(self.name), autocommit=True) as admin:
            admin.execute(f"REVOKE TEMPORARY ON DATABASE {self.name} FROM PUBLIC")
            admin.execute(f"GRANT TEMPORARY ON DATABASE {self.name} TO ocpp_writer")
            try:
                admin.execute("CREATE ROLE persister LOGIN PASSWORD 'secret' IN ROLE ocpp_writer")
            except psycopg.errors.DuplicateObject:
                pass  # by another test
        return self.cluster.settings(self.name, "persister", "secret", port)

    def dsn(self, port=None):
        return self.cluster.dsn(self.name, self.user, self.password, port)

    def connect(self, autocommit=True, search_path="ocpp", **kwargs):
        """Connects as a user of the data does. The time zone is deliberately not UTC."""
        options = f"-c search_path={search_path} -c timezone=Asia/Kolkata"
        connection = psycopg.connect(self.dsn(), autocommit=autocommit, options=options, **kwargs)
        self._connections.append(connection)
        return connection

    def rows(self, sql, *parameters):
        with psycopg.connect(self.dsn(), options="-c search_path=ocpp") as connection:
            cursor = connection.execute(sql, parameters or None)
            return cursor.fetchall() if cursor.description else None

    def value(self, sql, *parameters):
        return self.rows(sql, *parameters)[0][0]

    def close(self):
        for connection in self._connections:
            connection.close()


def client(cluster, name):
    """The path of a program that works only with servers of its own version, or older ones.
    PostgreSQL 18 of tests/postgres18 comes without these."""
    path = rig.Postgres.bin(name)
    said = subprocess.run([path, "--version"], text=True, capture_output=True, check=True).stdout
    server = int(Database(cluster, "postgres").value("SHOW server_version_num")) // 10000
    if int(re.search(r"\) (\d+)", said)[1]) < server:
        pytest.skip(f"there is no {name} of PostgreSQL {server}, only: {said}")
    return path


def make_database(cluster, owner=None, owner_rights="", template="template1"):
    """owner: name of a new role that owns the database, with owner_rights ("CREATEROLE")."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        if owner:
            connection.execute(f"CREATE ROLE {owner} LOGIN PASSWORD 'secret' {owner_rights}")
        connection.execute(
            f"CREATE DATABASE {name} OWNER {owner or 'postgres'} TEMPLATE {template}")
    return Database(cluster, name, owner or "postgres", "secret" if owner else None)


@pytest.fixture(scope="session")
def migrated_template(postgres):
    """A migrated database: copying it takes a tenth of the time that the migrations take."""
    made = make_database(postgres)
    done = run_cli(made.settings(), "migrate", "up")
    assert done.returncode == 0, done.stderr
    return made.name


@pytest.fixture
def database(postgres, request):
    """An empty database; a migrated one for tests that use `migrated`."""
    template = "template1"
    if "migrated" in request.fixturenames:
        template = request.getfixturevalue("migrated_template")
    database = make_database(postgres, template=template)
    yield database
    database.close()
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {database.name} WITH (FORCE)")


@pytest.fixture
def broker(workspace):
    broker = rig.Broker(workspace, name=f"mosquitto{next(_numbers)}").start()
    yield broker
    broker.stop()


@pytest.fixture
def proxy(workspace):
    """proxy(port, postgres=False): a rig.Proxy before that port."""
    made = []

    def make(port, **kwargs):
        made.append(rig.Proxy(workspace, port, **kwargs))
        return made[-1]

    yield make
    for p in made:
        p.stop()


@pytest.fixture
def persister(workspace):
    """persister(settings, ...): a rig.Persister, not started yet."""
    made = []

    def make(settings, **kwargs):
        made.append(rig.Persister(workspace, BINARY, settings, **kwargs))
        return made[-1]

    yield make
    for p in made:
        p.stop()


def run_cli(settings, *arguments, timeout=rig.HANGS_S, **kwargs):
    """A command that ends by itself: CompletedProcess with text."""
    options = [f"--{key}={value}" for key, value in settings.items()]
    return subprocess.run([BINARY, *options, *arguments], text=True, capture_output=True,
                          timeout=timeout, **kwargs)


@contextlib.contextmanager
def begun(settings, *arguments, **environment):
    """A command in the background. It is killed at the end of the block, if it still runs then, so
    that a test that fails does not wait for a command that waits for the test."""
    options = [f"--{key}={value}" for key, value in settings.items()]
    with subprocess.Popen([BINARY, *options, *arguments], stderr=subprocess.PIPE, text=True,
                          env={**os.environ, **environment}) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def killed_if_still(process):
    """For reading what it writes, which may take as long as it likes: once nothing has moved for
    rig.STILL_S the process is killed, and its output ends."""
    done = threading.Event()

    def guard():
        patience = rig.Patience()
        while not done.wait(0.1):
            if not patience.left():
                process.kill()
                return

    thread = threading.Thread(target=guard)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def next_line(process, stream):
    """The next line of its output; "" at the end, and if none comes."""
    with killed_if_still(process):
        return stream.readline()


def read_terminal(process, ours):
    """All that it writes to its terminal until it ends. ours: our side, which is closed."""
    said = []
    with killed_if_still(process), contextlib.suppress(OSError):  # EIO: theirs is closed
        while piece := os.read(ours, 65536):
            said.append(piece)
    os.close(ours)
    return b"".join(said)


def descriptors(p):
    """{descriptor: what it is} of a persister. It hides them from other processes of its user."""
    found = {}
    try:
        for fd in os.listdir(f"/proc/{p.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found[fd] = os.readlink(f"/proc/{p.pid}/fd/{fd}")
    except PermissionError as e:
        pytest.skip(f"descriptors of the program cannot be seen, which needs root: {e}")
    return found


def verify_ledger(database, ledger):
    """`verify`, and then the stations' ledger, row by row: CompletedProcess of both."""
    done = run_cli(database.settings(), "verify")
    rows = subprocess.run([sys.executable, "-B", LEDGER, ledger, database.dsn()], text=True,
                          capture_output=True, timeout=rig.HANGS_S)
    return subprocess.CompletedProcess(rows.args, done.returncode or rows.returncode,
                                       done.stdout + rows.stdout, done.stderr + rows.stderr)


@pytest.fixture
def migrate(database):
    """migrate("up", ...): `ocpp-persister migrate` on the test's database."""
    def run(*arguments, settings=None, **kwargs):
        return run_cli({**database.settings(), **(settings or {})}, "migrate", *arguments, **kwargs)

    return run


@pytest.fixture
def migrated(database):
    """The test's database, migrated."""
    return database


class Publisher:
    """An MQTT 5 client that waits for the PUBACK of everything it publishes."""

    def __init__(self, port):
        self.client = mqtt.Client(client_id=f"publisher{next(_numbers)}", protocol=mqtt.MQTTv5)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def raw(self, topic, payload, qos=1, **properties):
        made = None
        if properties:
            made = Properties(PacketTypes.PUBLISH)
            for name, value in properties.items():
                setattr(made, name, value)
        published = self.client.publish(topic, payload, qos, properties=made)
        # No polling if the broker answers immediately, as it nearly always does.
        published.wait_for_publish(1)
        rig.wait_until(published.is_published, what=f"the PUBACK of {topic}")

    def send(self, station, message, version="1.6", direction="in", **kwargs):
        """An envelope, as JSON."""
        self.raw(f"cs/{direction}/ocpp{version}/{station}", json.dumps(message), **kwargs)

    def call(self, station, action, request, id="1", **kwargs):
        self.send(station, {"type": 2, "action": action, "id": id, "request": request}, **kwargs)

    def result(self, station, action, response, id="1", direction="out", **kwargs):
        self.send(station, {"type": 3, "action": action, "id": id, "response": response},
                  direction=direction, **kwargs)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def publish(broker):
    publisher = Publisher(broker.port)
    yield publisher
    publisher.close()


@pytest.fixture
def running(persister, migrated, broker):
    """running(settings): a persister between the test's broker and database, ready."""
    def start(settings=None, **kwargs):
        p = persister({"spool.segment_bytes": "4MiB", **migrated.writer_settings(),
                       **broker.settings(), **(settings or {})}, **kwargs).start()
        p.wait_event("broker_connected")
        p.wait_event("database_connected")
        return p

    return start


def stored(database, count, timeout=rig.STILL_S):
    """Waits until this many messages have reached the database, whatever became of them there."""
    def look():
        return database.value("SELECT coalesce(sum(received), 0) FROM ingest_progress") >= count

    rig.wait_until(look, timeout, lambda: str(database.rows("TABLE ingest_progress")))


@pytest.fixture(scope="module")
def world(workspace, postgres):
    """Shared by many tests, each of which has its own stations."""
    broker = rig.Broker(workspace, name=f"mosquitto{next(_numbers)}").start()
    database = make_database(postgres)
    settings = {**database.settings(), **broker.settings()}
    assert run_cli(settings, "migrate", "up").returncode == 0
    p = rig.Persister(workspace, BINARY, {**settings, **database.writer_settings()}).start()
    p.wait_event("broker_connected")
    p.wait_event("database_connected")
    publisher = Publisher(broker.port)
    yield World(publisher, database)
    publisher.close()
    p.stop()
    broker.stop()
