"""The rig itself: a test that waits in vain or a proxy that passes everything on proves nothing."""

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading

import paho.mqtt.client as mqtt
import psycopg
import pytest
import rig
from conftest import ROOT


def echo_server():
    """A port that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client):
        with client, contextlib.suppress(ConnectionError):
            while data := client.recv(65536):
                client.sendall(data)

    def accept():
        while True:
            try:
                threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    return listener


@pytest.fixture
def echo(proxy):
    """(proxy, connect): connect() is a connection through the proxy to an echo."""
    listener = echo_server()
    p = proxy(listener.getsockname()[1])
    opened = []

    def connect():
        opened.append(socket.create_connection(("127.0.0.1", p.port), timeout=rig.STILL_S))
        return opened[-1]

    yield p, connect
    for s in [*opened, listener]:
        s.close()


def receive(s, count):
    data = b""
    while len(data) < count and (more := s.recv(count - len(data))):
        data += more
    return data


def is_cut(s):
    """Whatever was in flight before; a connection that stays open ends in TimeoutError."""
    try:
        while s.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


def test_proxy_passes_cuts_and_refuses(echo):
    p, connect = echo
    first = connect()
    first.sendall(b"hello")
    assert receive(first, 5) == b"hello"
    p.cut()
    assert is_cut(first)
    second = connect()
    second.sendall(b"again")
    assert receive(second, 5) == b"again"
    p.refuse()
    assert is_cut(second)
    with pytest.raises(ConnectionResetError):
        connect().recv(1)
    p.accept()
    third = connect()
    third.sendall(b"x")
    assert receive(third, 1) == b"x"
    assert p.connections == 4


@pytest.mark.parametrize("direction", [(), (rig.UP,), (rig.DOWN,)])
def test_proxy_stalls_and_flows_again(echo, direction):
    p, connect = echo
    s = connect()
    s.sendall(b"a")
    assert receive(s, 1) == b"a"
    p.stall(*direction)
    s.sendall(b"b")
    s.settimeout(0.3)
    with pytest.raises(TimeoutError):
        s.recv(1)
    s.settimeout(rig.STILL_S)
    p.flow()
    assert receive(s, 1) == b"b"


@pytest.mark.parametrize("direction", [rig.UP, rig.DOWN])
def test_proxy_cuts_after_a_number_of_bytes_once(echo, direction):
    p, connect = echo
    s = connect()
    s.sendall(b"before")
    assert receive(s, 6) == b"before"
    p.cut_after(6, direction)
    s.sendall(b"x" * 10)
    assert is_cut(s)
    again = connect()
    again.sendall(b"y" * 10)
    assert receive(again, 10) == b"y" * 10


def commit_by_query(connection):
    return connection.pgconn.exec_(b"COMMIT")


def commit_unnamed(connection):
    return connection.pgconn.exec_params(b"commit", None)


def commit_prepared(connection):
    return connection.pgconn.exec_prepared(b"last", None)


@pytest.mark.parametrize("commit", [commit_by_query, commit_unnamed, commit_prepared])
@pytest.mark.parametrize("arrives, rows", [(True, 1), (False, 0)])
def test_proxy_swallows_the_answer_to_commit(postgres, proxy, arrives, rows, commit):
    p = proxy(postgres.port, postgres=True)
    with psycopg.connect(postgres.dsn(), autocommit=True) as direct:
        direct.execute("DROP TABLE IF EXISTS swallowed")
        direct.execute("CREATE TABLE swallowed (a int)")
        through = psycopg.connect(postgres.dsn(port=p.port))
        through.pgconn.prepare(b"last", b" Commit")
        through.execute("INSERT INTO swallowed VALUES (1)")
        p.swallow_commit(arrives=arrives)
        assert commit(through).status == psycopg.pq.ExecStatus.FATAL_ERROR
        assert through.closed
        assert p.swallowed.wait(rig.HANGS_S)
        # The server also notices the end of a connection from which it got nothing.
        rig.wait_until(lambda: direct.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'").fetchone()[0] == 0,
            10, "end of the transaction")
        assert direct.execute("SELECT count(*) FROM swallowed").fetchone()[0] == rows
        # The next one is left alone.
        with psycopg.connect(postgres.dsn(port=p.port)) as again:
            again.execute("INSERT INTO swallowed VALUES (2)")
        assert direct.execute("SELECT count(*) FROM swallowed").fetchone()[0] == rows + 1


@pytest.mark.parametrize("arrives", [True, False])
def test_proxy_cuts_at_the_statement_that_is_prepared(postgres, proxy, arrives):
    p = proxy(postgres.port, postgres=True)
    through = psycopg.connect(postgres.dsn(port=p.port), autocommit=True)
    p.cut_prepare(2, arrives=arrives)
    through.execute("SELECT 1")
    through.pgconn.exec_params(b"SELECT 1", [])  # prepares nothing that has a name
    assert through.pgconn.prepare(b"a", b"SELECT 1").status == psycopg.pq.ExecStatus.COMMAND_OK
    assert not p.prepared.is_set()
    assert through.pgconn.prepare(b"b", b"SELECT 1").status == psycopg.pq.ExecStatus.FATAL_ERROR
    assert through.closed and p.prepared.wait(rig.HANGS_S)
    with psycopg.connect(postgres.dsn(port=p.port)) as again:  # the next one is left alone
        again.pgconn.prepare(b"a", b"SELECT 1")
        assert again.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("code, version", [(0x84, 5), (1, 5), (1, 4)])
def test_proxy_refuses_mqtt_connects(broker, proxy, code, version):
    p = proxy(broker.port)
    p.refuse_connect(code)
    name = b"\x00\x04MQTT" + bytes([version, 2, 0, 60]) + (b"\x00" if version == 5 else b"")
    packet = name + b"\x00\x01c"
    packet = bytes([0x10, len(packet)]) + packet
    with socket.create_connection(("127.0.0.1", p.port), timeout=rig.STILL_S) as s:
        s.sendall(packet)
        answer = bytes([0x20, 3, 0, code, 0]) if code >= 0x80 else bytes([0x20, 2, 0, code])
        assert receive(s, len(answer)) == answer
        assert is_cut(s)
    assert p.connects == [version]
    with socket.create_connection(("127.0.0.1", p.port), timeout=rig.STILL_S) as s:
        s.sendall(packet)
        assert receive(s, 4)[3] == 0  # from the broker: accepted


def test_postgres_comes_back_after_kill9_with_what_was_committed(workspace):
    cluster = rig.Postgres(workspace, name="killed").start()
    port = cluster.port
    session = psycopg.connect(cluster.dsn())
    session.execute("CREATE TABLE kept (a int)")
    session.commit()
    session.execute("INSERT INTO kept VALUES (1)")
    backend = session.info.backend_pid
    cluster.kill9()
    assert not rig.is_running(backend)  # a zombie at most, where nobody reaps
    cluster.start()
    assert cluster.port == port
    assert cluster.psql("SELECT count(*) FROM kept") == "0\n"
    cluster.stop()


def test_broker_keeps_queued_messages_over_a_restart(workspace):
    broker = rig.Broker(workspace, name="restarted").start()
    got, connected = [], threading.Event()

    def client(name, clean):
        c = mqtt.Client(name, clean_session=clean)
        c.on_message = lambda c, u, message: got.append(message.payload)
        c.on_subscribe = lambda *a: connected.set()
        c.connect("127.0.0.1", broker.port)
        c.loop_start()
        return c

    subscriber = client("s", clean=False)
    subscriber.subscribe("t", 1)
    assert connected.wait(rig.HANGS_S)
    subscriber.disconnect()
    subscriber.loop_stop()
    publisher = client("p", clean=True)
    for number in range(50):
        publisher.publish("t", str(number), qos=1).wait_for_publish(rig.HANGS_S)
    publisher.disconnect()
    publisher.loop_stop()
    broker.restart()
    subscriber = client("s", clean=False)
    rig.wait_until(lambda: len(got) == 50, 10, lambda: f"50 messages, not {len(got)}")
    subscriber.disconnect()
    subscriber.loop_stop()
    broker.stop()


def test_passwords_and_tls_are_asked_for(workspace):
    tls = rig.Certificates(workspace)
    broker = rig.Broker(workspace, passwords={"user": "right"}, tls=tls, name="guarded").start()

    def connack(port, user=None, password=None, ca=None):
        answers = []
        c = mqtt.Client(protocol=mqtt.MQTTv311)
        c.on_connect = lambda c, u, flags, rc: answers.append(rc)
        if user:
            c.username_pw_set(user, password)
        if ca:
            c.tls_set(ca)
        c.connect("127.0.0.1", port)
        rig.wait_until(lambda: c.loop(0.1) is None or answers, 10, "CONNACK")
        c.disconnect()
        return answers[0]

    assert connack(broker.port, "user", "right") == 0
    assert connack(broker.port, "user", "wrong") == 5
    assert connack(broker.port) == 5
    assert connack(broker.tls_port, "user", "right", tls.ca) == 0
    with pytest.raises(ssl.SSLCertVerificationError):
        connack(broker.tls_port, "user", "right", rig.Certificates(workspace, "other").ca)
    broker.stop()


def test_logfmt_is_read_back():
    line = r'<3>level=error event=copy_failed kind=transient seq=12 msg="could not \"x\":\n\\y" e='
    assert rig.parse_logfmt(line) == {
        "level": "error", "event": "copy_failed", "kind": "transient", "seq": "12",
        "msg": 'could not "x":\n\\y', "e": ""}


# A workspace with servers in it, and then what the parameter says.
SERVERS = """if True:
    import sys
    sys.path.insert(0, sys.argv[1])
    import rig
    w = rig.Workspace()
    p, b = rig.Postgres(w, fast=True).start(), rig.Broker(w).start()
    print(w.path, w.folder_in_memory("test"), p.pid, b.pid, flush=True)
    sys.stdin.read()
    if sys.argv[2] == "keep":
        w.keep()
        p.kill9()
"""


@contextlib.contextmanager
def servers_of_another_process(end):
    """(process, its folders, pids of its servers)"""
    process = subprocess.Popen([sys.executable, "-c", SERVERS, os.path.join(ROOT, "bench"), end],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    path, memory, *pids = process.stdout.readline().split()
    assert os.path.isdir(path) and os.path.isdir(memory) and all(map(rig.is_running, pids))
    try:
        yield process, [path, memory], pids
    finally:
        process.communicate()
    rig.wait_until(lambda: not any(map(rig.is_running, pids)), 20, "servers")


def shared_memory_of(pid):
    """Numbers of the System V segments that it made, and its files in /dev/shm."""
    with open("/proc/sysvipc/shm") as f:
        made = [fields[1] for fields in map(str.split, f.readlines()[1:]) if fields[4] == pid]
    try:
        with open(f"/proc/{pid}/maps") as f:
            return made, set(re.findall(r"/dev/shm/PostgreSQL\S+", f.read()))
    except FileNotFoundError:
        return made, set()
    except PermissionError:
        pytest.skip("even root may not see the memory of others here (CAP_SYS_PTRACE)")


def test_everything_goes_when_the_parent_is_killed():
    with servers_of_another_process("killed") as (process, folders, pids):
        made, files = shared_memory_of(pids[0])
        assert made and not files
        process.send_signal(signal.SIGKILL)
    rig.wait_until(lambda: not any(map(os.path.exists, folders)), 20, "folders")
    assert shared_memory_of(pids[0]) == ([], set())


def test_folder_with_something_mounted_goes_too():
    with servers_of_another_process("killed") as (process, folders, _):
        small = f"{folders[0]}/small"
        os.mkdir(small)
        done = subprocess.run(["mount", "-t", "tmpfs", "none", small], capture_output=True,
                              text=True)
        if done.returncode != 0:
            pytest.skip(f"a file system cannot be mounted here, which needs root: {done.stderr}")
        process.send_signal(signal.SIGKILL)
    rig.wait_until(lambda: not any(map(os.path.exists, folders)), 20, "folders")


def test_what_is_to_be_kept_is_kept():
    """The files, that is: not the processes, nor the shared memory of one that was killed."""
    with servers_of_another_process("keep") as (process, folders, pids):
        process.communicate()
    try:
        assert os.path.exists(f"{folders[0]}/postgres/data/PG_VERSION")
        assert os.path.isdir(folders[1])
        assert shared_memory_of(pids[0]) == ([], set())
    finally:
        for folder in folders:
            shutil.rmtree(folder)


def test_waiting_in_vain_says_for_what():
    with pytest.raises(rig.TimedOut, match="after 0.05 s: the moon"):
        rig.wait_until(lambda: False, 0.05, lambda: "the moon")


def test_wait_goes_on_as_long_as_something_moves():
    """Longer than its time, and no longer than that once it has stopped."""
    steps = iter(range(8))
    last = []

    def moves():
        last.append(next(steps, None))
        return str(last[-1])

    class Quick(rig.Patience):
        LOOK_S = 0

        @staticmethod
        def share():
            return 1

    patience, looks = Quick(2000, moves), 0
    while patience.left():
        looks += 1
        # A clock of its own: what is tested is not how fast the machine is.
        patience.at -= 1500
    assert 8 <= looks < 20 and last[-1] is None


def test_wait_ends_if_what_moves_gets_nowhere():
    numbers = iter(range(10**9))
    patience = rig.Patience(0.01, lambda: next(numbers))
    looks = 0
    while patience.left():
        patience.at -= 1
        looks += 1
    assert looks < 1000
