"""Several hosts in storage.url: tried in turn, each with its own timeout."""

import json
import pathlib
import shutil
import socket
import subprocess
import threading

import psycopg
import pytest
import rig
from conftest import BINARY, make_database, run_cli, stored


@pytest.fixture
def hole():
    """hole(): the port of a listener on loopback that takes connections and never says a word."""
    made = []

    def make():
        made.append(socket.create_server(("127.0.0.1", 0), backlog=64))
        return made[-1].getsockname()[1]

    yield make
    for listener in made:
        listener.close()


@pytest.fixture
def full():
    """The port of a listener whose backlog is full: further connections get no answer at all."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = listener.getsockname()[1]
    waiting = []
    for _ in range(8):
        waiting.append(socket.socket())
        waiting[-1].setblocking(False)
        waiting[-1].connect_ex(("127.0.0.1", port))
    yield port
    for s in [*waiting, listener]:
        s.close()


def url(database, *ports, more=""):
    ports = ",".join(f"127.0.0.1:{port}" for port in ports)
    password = database.password or database.cluster.password
    return (f"postgresql://{database.user}:{password}@{ports}/{database.name}"
            f"?sslmode=disable{more}")


def start(persister, broker, url, **settings):
    return persister({"storage.url": url, "storage.postgres.connect_timeout": "2s",
                      **broker.settings(), **settings}).start()


def test_host_that_never_answers_does_not_starve_the_next(persister, migrated, broker, publish,
                                                          hole, full):
    port = migrated.cluster.port
    p = start(persister, broker, url(migrated, hole(), full, port))
    p.wait_event("database_connected", timeout=120)
    publish.call("cs1", "Heartbeat", {})
    stored(migrated, 1)
    assert not p.events("database_lost")  # all in one round


def test_each_round_tries_each_host_and_says_what_was_wrong(persister, migrated, broker, proxy,
                                                            hole):
    black, away = hole(), proxy(migrated.cluster.port)
    away.refuse()
    p = start(persister, broker, url(migrated, black, away.port))
    lost = p.wait_event("database_lost", timeout=120)
    assert f"127.0.0.1:{black}: no answer from PostgreSQL in time" in lost["msg"]
    assert f"127.0.0.1:{away.port}: " in lost["msg"]
    away.accept()
    p.wait_event("database_connected", timeout=120)


@pytest.fixture(scope="module")
def read_only(workspace):
    """A cluster that takes no writes, as a standby."""
    cluster = rig.Postgres(workspace, fast=True, name="read_only",
                           settings={"default_transaction_read_only": "on"}).start()
    yield cluster
    cluster.stop()


@pytest.mark.parametrize("attributes", ["read-write", "primary"])
def test_target_session_attrs_hold_for_each_host(persister, migrated, broker, read_only, hole,
                                                 attributes):
    with psycopg.connect(read_only.dsn(), autocommit=True) as admin:
        admin.execute("SET default_transaction_read_only = off")
        admin.execute("ALTER ROLE postgres PASSWORD %s" % f"'{migrated.cluster.password}'")
    read_only.password = migrated.cluster.password
    ports = [read_only.port, hole(), migrated.cluster.port]
    if attributes == "primary":  # both are
        ports = ports[1:]
    p = start(persister, broker, url(migrated, *ports, more=f"&target_session_attrs={attributes}"))
    p.wait_event("database_connected", timeout=120)
    assert not p.events("database_lost")


@pytest.fixture(scope="module")
def two_addresses(workspace):
    """A name with two addresses: a host that never says a word, then a cluster's. A program that
    knows the name, that cluster, and the port of both."""
    folder = pathlib.Path(workspace.folder("two_addresses"))
    hosts, program = folder / "hosts", folder / "program"
    hosts.write_text("127.0.0.1 localhost\n127.0.0.1 database.test\n127.0.0.2 database.test\n")
    program.write_text(f"""#!/bin/sh
exec unshare -m sh -c 'mount --bind {hosts} /etc/hosts && exec {BINARY} "$@"' sh "$@"
""")
    program.chmod(0o700)
    done = subprocess.run([program, "version"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"names of our own cannot be made here, which needs root: {done.stderr}")
    cluster = rig.Postgres(workspace, fast=True, name="second_address").start()
    database = make_database(cluster)
    assert run_cli(database.settings(), "migrate", "up").returncode == 0
    cluster.psql("ALTER SYSTEM SET listen_addresses = '127.0.0.2'")
    cluster.restart()
    listener = socket.create_server(("127.0.0.1", cluster.port), backlog=64)
    yield program, database, cluster.port
    listener.close()
    cluster.stop()


def by_name(database, port, more=""):
    return (f"postgresql://postgres:{database.cluster.password}@database.test:{port}/"
            f"{database.name}?sslmode=disable{more}")


@pytest.mark.parametrize("more", ["", "&target_session_attrs=read-write",
                                  "&target_session_attrs=prefer-standby"])
def test_each_address_of_a_name_is_tried(workspace, two_addresses, broker, more):
    program, database, port = two_addresses
    p = rig.Persister(workspace, program, {
        "storage.url": by_name(database, port, more), "storage.postgres.connect_timeout": "2s",
        **broker.settings()}).start()
    p.wait_event("database_connected", timeout=120)
    assert not p.events("database_lost")  # all in one round
    p.stop()


def test_pool_of_the_store_tries_each_address_of_a_name(two_addresses):
    program, database, port = two_addresses
    done = subprocess.run(
        [program, f"--storage.url={by_name(database, port)}",
         "--storage.postgres.connect_timeout=2s", "store", "token", "list", "--json"],
        text=True, capture_output=True, timeout=rig.HANGS_S)
    assert done.returncode == 0, done.stderr


def test_pool_of_the_store_tries_the_next_host_too(migrated, hole):
    done = subprocess.run(
        [BINARY, f"--storage.url={url(migrated, hole(), migrated.cluster.port)}",
         "--storage.postgres.connect_timeout=2s", "store", "token", "list", "--json"],
        text=True, capture_output=True, timeout=rig.HANGS_S)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == []


def test_replay_tries_the_next_host_too(migrated, hole, tmp_path):
    path = tmp_path / "messages.jsonl"
    path.write_text(json.dumps({
        "topic": "cs/in/ocpp1.6/cs001", "received_at": "2026-01-31T12:00:00Z",
        "payload": [2, "1", "Heartbeat", {}]}) + "\n")
    done = subprocess.run(
        [BINARY, f"--storage.url={url(migrated, hole(), migrated.cluster.port)}",
         "--storage.postgres.connect_timeout=2s", "replay", path],
        text=True, capture_output=True, timeout=rig.HANGS_S)
    assert done.returncode == 0, done.stderr
    assert migrated.value("SELECT count(*) FROM ocpp_events") == 1


@pytest.fixture(scope="module")
def demoted(workspace):
    """A database, migrated, and demote(): its server becomes a standby, as after a failover that
    made another one the primary."""
    cluster = rig.Postgres(workspace, fast=True, name="demoted").start()
    database = make_database(cluster)
    assert run_cli(database.settings(), "migrate", "up").returncode == 0

    def demote():
        cluster.stop()
        pathlib.Path(cluster.data, "standby.signal").touch()
        shutil.chown(f"{cluster.data}/standby.signal", pathlib.Path(cluster.data).owner())
        cluster.start()

    yield database, demote
    cluster.stop()


@pytest.fixture
def standby(workspace, migrated):
    """A standby that knows the same database and password, as a replica does."""
    cluster = rig.Postgres(workspace, fast=True, name=f"standby_of_{migrated.name}").start()
    cluster.psql(f"CREATE DATABASE {migrated.name}")
    cluster.psql(f"ALTER ROLE postgres PASSWORD '{migrated.cluster.password}'")
    cluster.password = migrated.cluster.password
    cluster.stop()
    path = pathlib.Path(cluster.data, "standby.signal")
    path.touch()
    shutil.chown(path, path.parent.owner())
    yield cluster.start()
    cluster.stop()


def test_of_several_hosts_the_primary_is_found(persister, migrated, broker, publish, standby):
    """Without target_session_attrs, whichever is named first."""
    both = url(migrated, standby.port, migrated.cluster.port)
    p = start(persister, broker, both)
    p.wait_event("database_connected")
    publish.call("cs1", "Heartbeat", {})
    stored(migrated, 1)
    assert not p.events("database_lost")  # all in one round
    settings = {"storage.url": both, "spool.dir": p.settings["spool.dir"]}
    for command in (["verify"], ["migrate", "status"], ["store", "token", "list"]):
        done = run_cli(settings, *command)
        assert done.returncode == 0, (command, done.stderr)


def test_of_several_hosts_one_that_is_asked_for_is_found(migrated, standby):
    """A standby is enough for reports, if somebody asks for one."""
    both = url(migrated, standby.port, migrated.cluster.port, more="&target_session_attrs=any")
    done = run_cli({"storage.url": both}, "verify")
    assert done.returncode == 4 and "is a standby" in done.stderr


def test_several_hosts_without_a_primary_are_waited_for(persister, migrated, broker, standby):
    door = url(migrated, standby.port, standby.port)
    p = start(persister, broker, door)
    lost = p.wait_event("database_lost")
    assert lost["msg"].count("hot standby mode") == 2 and lost["heals"] == "by_itself"
    with psycopg.connect(standby.dsn(), autocommit=True) as admin:
        admin.execute("SELECT pg_promote()")
    # It has no schema: but it is connected to.
    assert p.wait_exit() == 5


def promote(database):
    database.cluster.psql("SELECT pg_promote()")


def test_demoted_primary_is_waited_out(persister, demoted, broker, publish, tmp_path):
    database, demote = demoted
    p = persister({**database.settings(), **broker.settings()}).start()
    p.wait_event("database_connected")
    publish.call("cs1", "Heartbeat", {})
    stored(database, 1)
    demote()
    publish.call("cs2", "Heartbeat", {})
    rig.wait_until(lambda: "read_only" in p.http("/readyz")[1], what=lambda: p.http("/readyz")[1])
    # Its progress may be out of date.
    done = run_cli(database.settings(), "verify")
    assert done.returncode == 4 and "is a standby" in done.stderr and done.stdout == ""
    done = run_cli(database.settings(), "config", "check", "--connect")
    assert "is a standby" in done.stdout
    # Nor does it see who is connected to the primary.
    done = run_cli({**database.settings(), **broker.settings()}, "broker", "end-session",
                   p.settings["mqtt.client_id"], "--stopped")
    assert done.returncode != 0 and "is a standby" in done.stderr and done.stdout == ""
    promote(database)
    stored(database, 2)
    assert p.running
    done = run_cli({**database.settings(), "spool.dir": p.settings["spool.dir"]}, "verify")
    assert done.returncode == 0, done.stdout


def test_replay_waits_until_the_server_is_the_primary(demoted, tmp_path, workspace):
    database, demote = demoted
    capture = tmp_path / "capture"
    capture.write_text('{"tst":"2026-02-01T12:00:00Z","topic":"cs/in/ocpp1.6/cs3","qos":1,'
                       '"payload":"[2,\\"1\\",\\"Heartbeat\\",{}]"}\n')
    demote()
    replay = rig.Persister(workspace, BINARY, database.settings(),
                           arguments=("replay", str(capture))).start()
    lost = replay.wait_event("database_lost")
    assert "is a standby" in lost["msg"] and "primary" in lost["hint"]
    assert (lost["kind"], lost["heals"]) == ("transient", "by_itself")
    promote(database)
    assert replay.wait_exit() == 0
    assert database.value("SELECT count(*) FROM ocpp.ocpp_events "
                          "WHERE charge_station_id = 'cs3'") == 1


@pytest.fixture
def refusing():
    """A host that refuses every password: (its port, how many have come)."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    came = []
    said = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0"

    def refuse():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # it is closed
                return
            with client:
                client.recv(8192)
                client.sendall(b"E" + (4 + len(said)).to_bytes(4, "big") + said)
            came.append(None)

    threading.Thread(target=refuse, daemon=True).start()
    yield listener.getsockname()[1], lambda: len(came)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_replay_waits_for_the_primary_beside_a_host_that_refuses(demoted, refusing, tmp_path,
                                                                 workspace):
    """It gives up after six refusals, but not while another host may come back."""
    database, demote = demoted
    capture = tmp_path / "capture"
    capture.write_text('{"tst":"2026-02-01T12:00:00Z","topic":"cs/in/ocpp1.6/cs4","qos":1,'
                       '"payload":"[2,\\"1\\",\\"Heartbeat\\",{}]"}\n')
    demote()
    port, came = refusing
    replay = rig.Persister(workspace, BINARY, {"storage.url": url(
        database, database.cluster.port, port)}, arguments=("replay", str(capture))).start()
    rig.wait_until(lambda: came() > 8 or not replay.running, what="it has asked often enough")
    lost = replay.wait_event("database_lost")
    assert (lost["kind"], lost["heals"]) == ("refused", "by_itself"), lost
    promote(database)
    assert replay.wait_exit() == 0
    assert database.value("SELECT count(*) FROM ocpp.ocpp_events "
                          "WHERE charge_station_id = 'cs4'") == 1
