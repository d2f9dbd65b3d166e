"""The gate between paho and the broker: no acknowledgement leaves before its message is on disk."""

import shutil
import socket

import pytest
import rig
from conftest import descriptors, needs_failpoints, stored
from rig_proxy import UP

RECEIVED = 'ocpp_persister_mqtt_messages_received_total{qos="1"}'


def puback_ids(data):
    """Packet ids of the PUBACKs (OASIS MQTT 5.0, section 3.4) among the packets of a client."""
    found, at = [], 0
    while at + 2 <= len(data):
        size, shift, after = 0, 0, at + 1
        while after < len(data):
            size |= (data[after] & 0x7f) << shift
            shift += 7
            after += 1
            if not data[after - 1] & 0x80:
                break
        if data[at] >> 4 == 4:
            found.append(int.from_bytes(data[after:after + 2], "big"))
        at = after + size
    return found


class Slow:
    """A disk whose syncs wait while hold() is on."""

    def __init__(self, tmp_path):
        self.file = tmp_path / "hold"
        self.environment = {"FAILPOINT_HOLD": str(self.file)}

    def hold(self):
        self.file.write_text("")

    def let_go(self):
        self.file.unlink()


@pytest.fixture
def slow(tmp_path):
    disk = Slow(tmp_path)
    yield disk
    if disk.file.exists():
        disk.let_go()


@pytest.fixture
def tapped(persister, migrated, broker, proxy, slow):
    """The program, with a proxy before the broker and a disk that can be slow."""
    def start(settings=None):
        door = proxy(broker.port)
        p = persister({**migrated.settings(), **broker.settings(door.port), **(settings or {})})
        p.environment = slow.environment
        p.start().wait_event("broker_connected")
        p.wait_event("database_connected")
        return p, door, door.tap(UP)
    return start


def heartbeats(publish, first, count):
    for number in range(first, first + count):
        publish.call("cs001", "Heartbeat", {}, id=str(number))


def ids(database):
    return sorted(int(row[0]) for row in database.rows(
        "SELECT message_id FROM ocpp_events WHERE action = 'Heartbeat'"))


@needs_failpoints
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_nothing_is_acknowledged_before_it_is_on_disk(tapped, migrated, publish, slow, version):
    p, _, up = tapped({"mqtt.version": version})
    slow.hold()
    heartbeats(publish, 0, 5)
    p.wait_metric(RECEIVED, 5)
    heartbeats(publish, 5, 5)
    p.wait_metric(RECEIVED, 10)
    assert puback_ids(up) == []
    assert ids(migrated) == []  # the database has nothing either that the log may lose
    slow.let_go()
    stored(migrated, 10)
    rig.wait_until(lambda: len(puback_ids(up)) == 10, what=lambda: f"10 PUBACKs, not {up.hex()}")
    assert puback_ids(up) == list(range(1, 11)), "in the order of the messages"


@needs_failpoints
def test_syncs_serve_all_that_wait_for_them(tapped, migrated, publish, slow):
    p, _, up = tapped()
    before = p.metric("ocpp_persister_spool_syncs_total")
    slow.hold()
    heartbeats(publish, 0, 200)
    p.wait_metric(RECEIVED, 200)
    slow.let_go()
    rig.wait_until(lambda: len(puback_ids(up)) == 200, what="200 PUBACKs")
    # One for the first of them, one for what came meanwhile, and sometimes one by the keeper.
    assert p.metric("ocpp_persister_spool_syncs_total") - before < 20
    stored(migrated, 200)


@needs_failpoints
def test_power_cut_loses_nothing_that_was_acknowledged(tapped, migrated, publish, slow, tmp_path):
    """The worst that a power cut can do: nothing is on disk that was not synced."""
    p, _, up = tapped({"dedupe.window": "1s"})
    heartbeats(publish, 0, 20)
    stored(migrated, 20)
    rig.wait_until(lambda: len(puback_ids(up)) == 20, what="20 PUBACKs")
    log = p.settings["spool.dir"]
    slow.hold()
    shutil.copytree(log, tmp_path / "on_disk")
    heartbeats(publish, 20, 30)
    p.wait_metric(RECEIVED, 50)
    p.kill9()
    assert len(puback_ids(up)) == 20
    shutil.rmtree(log)
    shutil.copytree(tmp_path / "on_disk", log)
    slow.let_go()
    p.start().wait_event("broker_connected")
    stored(migrated, 50)
    assert ids(migrated) == list(range(50))


@needs_failpoints
@pytest.mark.parametrize("during", ["sync", "append"])
def test_sync_that_fails_loses_and_doubles_nothing(tapped, migrated, publish, slow, during):
    p, _, _ = tapped()
    slow.hold()
    heartbeats(publish, 0, 3)
    p.wait_metric(RECEIVED, 3)
    p.kill9()
    slow.let_go()
    # The next run, in which a sync fails: the broker hands over what it has, again.
    for call in range(8, 40, 2 if during == "sync" else 3):
        p.environment = {"FAILPOINT": f"fs:{call}:EIO"}
        p.start()
        rig.wait_until(lambda: not p.running or p.events("broker_connected"), what="a start")
        if p.running:
            heartbeats(publish, 100 + call, 1)
            rig.wait_until(lambda: not p.running or (p.metric(RECEIVED) or 0) > 0,
                           what="a message")
        if p.running:
            p.stop()
    p.environment = {}
    p.start().wait_event("broker_connected")
    heartbeats(publish, 3, 1)
    rig.wait_until(lambda: set(range(4)) <= set(ids(migrated)), what=lambda: str(ids(migrated)))
    found = ids(migrated)
    assert len(found) == len(set(found))


def test_proxies_of_the_environment_are_not_for_mqtt(persister, migrated, broker, publish):
    nobody = f"http://127.0.0.1:{rig.free_port()}"
    p = persister({**migrated.settings(), **broker.settings()})
    p.environment = {"http_proxy": nobody, "https_proxy": nobody}
    p.start().wait_event("broker_connected")
    heartbeats(publish, 0, 1)
    stored(migrated, 1)


def test_what_is_wrong_with_each_broker_is_said(persister, migrated, broker, publish):
    gone = [rig.free_port() for _ in range(2)]
    p = persister({**migrated.settings(),
                   "mqtt.url": ", ".join(f"mqtt://127.0.0.1:{port}" for port in gone)}).start()

    def said():
        return [line["msg"] for line in p.events("broker_lost")]

    # On a busy machine paho at times ends a round before it has asked the second one.
    rig.wait_until(lambda: all(any(f"127.0.0.1:{port}: Connection refused" in line
                                   for line in said()) for port in gone),
                   rig.STILL_S, lambda: f"{gone}: {said()}")
    p.stop()
    p.settings["mqtt.url"] = f"mqtt://no-such-host.invalid, {broker.url}"
    p.start().wait_event("broker_connected")
    heartbeats(publish, 0, 1)
    stored(migrated, 1)


def test_silent_broker_does_not_keep_us_from_the_next(persister, migrated, broker, publish):
    """It takes the connection and never says a word; another one does not even take it."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        port = silent.getsockname()[1]
        p = persister({**migrated.settings(), "mqtt.connect_timeout": "2s",
                       "mqtt.url": f"mqtt://127.0.0.1:{port}, {broker.url}"}).start()
        p.wait_event("broker_connected")
        heartbeats(publish, 0, 1)
        stored(migrated, 1)


def gate_port(p):
    """The other port on which the process listens, beside that of its pages, from /proc."""
    pages = int(p.settings["http.listen"].rsplit(":", 1)[1])
    inodes = set(descriptors(p).values())
    with open(f"/proc/{p.pid}/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    ports = {int(row[1].split(":")[1], 16) for row in rows
             if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}
    return (ports - {pages}).pop()


def answer(port, request):
    """All that the gate says before it closes the connection."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=rig.STILL_S) as s:
        s.sendall(request)
        while data := s.recv(100):
            said += data
    return said


def test_others_on_this_machine_do_not_pass(running, migrated, broker, publish):
    """Not even with a guess at the secret; nor can they keep us from the broker for long."""
    p = running()
    port = gate_port(p)
    broker.stop()
    p.wait_event("broker_lost")
    with socket.create_server(("127.0.0.1", 0)) as target:
        target.setblocking(False)
        for line in ("", "Proxy-authorization: Basic Z2F0ZTo=\r\n",
                     f"Proxy-authorization: Basic {'A' * 52}\r\n"):
            request = f"CONNECT 127.0.0.1:{target.getsockname()[1]} HTTP/1.1\r\n{line}\r\n"
            assert answer(port, request.encode()) == b"HTTP/1.1 200 OK\r\n\r\n"
        assert answer(port, b"x" * 900 + b"\r\n\r\n") == b"HTTP/1.1 200 OK\r\n\r\n"
        with pytest.raises(BlockingIOError):
            target.accept()
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
    broker.start()
    p.wait_event("broker_connected", count=2)
    publish.client.reconnect()
    heartbeats(publish, 0, 1)
    stored(migrated, 1)
    for s in idle:
        s.close()
