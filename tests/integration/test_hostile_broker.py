"""A broker that breaks the protocol, or means harm: the program says what it did, neither crashes
nor spins, and connects again."""

import collections
import concurrent.futures
import contextlib
import random
import re
import socket
import struct
import threading

import conftest
import pytest
import rig

CONNACK, PUBLISH, PUBACK, SUBACK, DISCONNECT = 0x20, 0x30, 0x40, 0x90, 0xe0


def length(n):
    """A variable byte integer (MQTT 5.0, 1.5.5)."""
    out = bytearray()
    while True:
        n, low = n >> 7, n & 0x7f
        out.append(low | (0x80 if n else 0))
        if not n:
            return bytes(out)


def packet(first, body):
    return bytes([first]) + length(len(body)) + body


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">H", len(data)) + data


def publish(topic, payload=b"{}", qos=1, id=1, properties=b"", first=0):
    return packet(PUBLISH | qos << 1 | first, text(topic)
                  + (struct.pack(">H", id) if qos else b"") + length(len(properties)) + properties
                  + payload)


GOOD_CONNACK = packet(CONNACK, b"\0\0\0")
LOOK_S = 0.2
# It rests: over so many looks, at each of which it answers over HTTP, it uses less than this. One
# that spins uses almost a second.
RESTS = 5
REST_CPU_S = 0.05
BUSY_CPU_S = 1.5  # a start costs a fifth of a second
FLOOD = 3000
TOPIC = "cs/in/ocpp1.6/evil"


class Spins(Exception):
    pass


class Session:
    """One connection of the program, in the hands of an attack."""

    def __init__(self, s, broker):
        self.s, self.ended, self.broker = s, False, broker
        s.settimeout(rig.HANGS_S)

    def read(self):
        """A packet of the program: (first byte, body); (None, b"") at the end."""
        try:
            first = self.s.recv(1)
            if not first:
                return None, b""
            size, shift = 0, 0
            while True:
                byte = self.s.recv(1)[0]
                size |= (byte & 0x7f) << shift
                shift += 7
                if not byte & 0x80:
                    break
            body = b""
            while len(body) < size:
                body += self.s.recv(size - len(body))
            return first[0], body
        except (OSError, IndexError):
            return None, b""

    def send(self, data):
        with contextlib.suppress(OSError):
            self.s.sendall(data)

    def accept(self):
        """CONNECT and SUBSCRIBE are answered as they should be."""
        self.read()
        self.send(GOOD_CONNACK)
        first, body = self.read()
        if first in (None, DISCONNECT):
            raise ConnectionError("the program stops")
        assert first == 0x82, first
        filters = body.count(b"cs/")
        self.send(packet(SUBACK, body[:2] + b"\0" + b"\1" * filters))

    def until_it_ends(self):
        """The program ends the connection, or rests; Spins if it spins. Its answers over HTTP show
        that it gets the processor: without it, a program that spins seems to rest."""
        self.s.settimeout(LOOK_S)
        looks, began = collections.deque(maxlen=RESTS), self.broker.cpu_seconds()

        def over():
            try:
                self.ended = not self.s.recv(65536)
            except socket.timeout:
                if self.broker.program.http("/healthz")[0] == 200:
                    looks.append(self.broker.cpu_seconds())
                if self.broker.cpu_seconds() - began > BUSY_CPU_S:
                    raise Spins("it spins") from None
                return len(looks) == RESTS and looks[-1] - looks[0] < REST_CPU_S
            except OSError:
                self.ended = True
            return self.ended

        rig.wait_until(over, what="it ends the connection, or rests")


class HostileBroker:
    """Attacks each connection that is made to it, and knows how the first one ended."""

    def __init__(self, attack):
        self.attack, self.over, self.ended_by, self.count = attack, threading.Event(), None, 0
        self.program, self.pid = None, None  # the first is set before the program starts
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cpu_seconds(self):
        return rig.cpu_seconds(self.pid) if self.pid else 0.0

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                self.count += 1
                threading.Thread(target=self._serve, daemon=True,
                                 args=(Session(s, self),)).start()

    def _serve(self, session):
        try:
            with session.s, contextlib.suppress(OSError):
                self.attack(session)
            ended_by = "us" if session.ended else "them"
        except (Spins, rig.TimedOut) as e:
            ended_by = str(e)
        self.ended_by = self.ended_by or ended_by
        self.over.set()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


# ---- attacks ----


def answering(data, hold=False):
    """CONNECT is answered with this."""
    def attack(s):
        s.read()
        s.send(data)
        if hold:
            s.until_it_ends()
    return attack


def sending(*packets, hold=True):
    """All is well until these come."""
    def attack(s):
        s.accept()
        for data in packets:
            s.send(data)
        if hold:
            s.until_it_ends()
    return attack


def silence(s):
    s.until_it_ends()


LOST = r"^the connection to the broker at \S+ is lost"
FAILED = r"^could not connect to the broker at \S+: TCP connect (completion failure|timeout)$"
NO_ANSWER = r"^the broker at \S+ closed the connection before answering$"
STRANGE = r"^what listens at \S+ does not answer as an MQTT broker does$"
NO_REASON = "unknown reason code 0x[0-9a-f]{2}$"


def subscribing(make):
    """SUBSCRIBE is answered with what make(its packet id) gives."""
    def attack(s):
        s.read()
        s.send(GOOD_CONNACK)
        s.send(packet(SUBACK, make(s.read()[1][:2])))
        s.until_it_ends()
    return attack


# What it does, and what is reported.
ATTACKS = {
    "nothing, and the end": (lambda s: s.read(), NO_ANSWER),
    "silence": (silence, f"{FAILED}|{NO_ANSWER}"),
    "garbage": (answering(random.Random(1).randbytes(1000)), STRANGE),
    "HTTP": (answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), STRANGE),
    "TLS": (answering(b"\x15\3\1\0\2\2\x46"), r"^what listens at \S+ expects TLS$"),
    "CONNACK, unknown reason": (answering(packet(CONNACK, b"\0\xfe\0")), NO_REASON),
    "CONNACK, busy": (answering(packet(CONNACK, b"\0\x89" + length(7) + b"\x1f" + text("busy"))),
                      "Server busy$"),
    "CONNACK of no bytes": (answering(packet(CONNACK, b""), hold=True), FAILED),
    "CONNACK of one byte": (answering(packet(CONNACK, b"\0"), hold=True), FAILED),
    "CONNACK that never ends": (answering(b"\x20\xff\xff\xff\x7f\0\0", hold=True), FAILED),
    "length of five bytes": (answering(b"\x20\xff\xff\xff\xff\xff\1\0\0\0", hold=True), FAILED),
    "CONNACK, properties beyond its end": (
        answering(packet(CONNACK, b"\0\0\x7f\x11\0"), hold=True), FAILED),
    "CONNACK, unknown property": (answering(packet(CONNACK, b"\0\0\2\x7f\0"), hold=True), FAILED),
    "CONNACK, text beyond its end": (
        answering(packet(CONNACK, b"\0\0\4\x1f\xff\xffa"), hold=True), FAILED),
    "CONNACK, receive maximum 0": (answering(packet(CONNACK, b"\0\0\3\x21\0\0"), hold=True), LOST),
    "SUBACK before CONNACK": (answering(packet(SUBACK, b"\0\1\0\1\1"), hold=True), STRANGE),
    "PUBLISH before CONNACK": (answering(publish(TOPIC), hold=True), STRANGE),
    "packet of type 0": (answering(b"\0\0", hold=True), STRANGE),
    "CONNACK twice": (sending(GOOD_CONNACK), LOST),
    "SUBACK of nothing": (subscribing(lambda id: id + b"\0"), LOST),
    "SUBACK, too many": (subscribing(lambda id: id + b"\0" + b"\1" * 1000), LOST),
    "SUBACK, all refused": (subscribing(lambda id: id + b"\0\x87\x87"),
                            'refused the subscription to "cs/in/./.": Not authorized$'),
    "SUBACK, unknown reason": (subscribing(lambda id: id + b"\0\xfe\xfe"), NO_REASON),
    "SUBACK of another packet": (subscribing(lambda id: b"\xff\xff\0\1\1"), LOST),
    "topic beyond the packet": (sending(packet(PUBLISH | 2, b"\xff\xffcs/in")), LOST),
    "PUBLISH of no bytes": (sending(packet(PUBLISH | 2, b"")), LOST),
    "PUBLISH without a topic": (sending(publish("")), LOST),
    "topic alias that nobody set": (sending(publish("", properties=b"\x23\0\5")), LOST),
    "topic alias beyond what we allow": (
        sending(publish(TOPIC, properties=b"\x23\xff\xff")), LOST),
    "topic alias 0": (sending(publish(TOPIC, properties=b"\x23\0\0")), LOST),
    "packet id 0": (sending(publish(TOPIC, id=0)), LOST),
    "QoS 3": (sending(publish(TOPIC, qos=3)), LOST),
    "QoS 2, never released": (sending(publish(TOPIC, qos=2)), LOST),
    "topic with wildcards": (sending(publish("cs/in/+/#")), LOST),
    "topic with NUL": (sending(publish(b"cs/in/ocpp1.6/a\0b")), LOST),
    "topic that is not UTF-8": (sending(publish(b"cs/in/ocpp1.6/\xff\xfe")), LOST),
    "topic of 65,535 bytes": (sending(publish("cs/in/ocpp1.6/" + "x" * 65521)), LOST),
    "properties beyond the packet": (
        sending(packet(PUBLISH | 2, text(TOPIC) + b"\0\1\xff\xff\x7f{}")), LOST),
    "correlation data beyond the packet": (
        sending(packet(PUBLISH | 2, text(TOPIC) + b"\0\1\5\x09\xff\xff{}")), LOST),
    "PUBACK of nothing": (sending(packet(PUBACK, b"\0\7")), LOST),
    "PUBACK of no bytes": (sending(packet(PUBACK, b"")), LOST),
    "PUBREL, PUBREC, PUBCOMP of nothing": (
        sending(packet(0x62, b"\0\7"), packet(0x50, b"\0\7"), packet(0x70, b"\0\7")), LOST),
    "PINGRESP unasked": (sending(b"\xd0\0" * 1000), LOST),
    "CONNECT": (sending(packet(0x10, text("MQTT") + b"\5\2\0\0\0" + text("x"))), LOST),
    "SUBSCRIBE": (sending(packet(0x82, b"\0\1\0" + text("#") + b"\1")), LOST),
    "AUTH": (sending(packet(0xf0, b"\x18\0")), LOST),
    "DISCONNECT": (sending(packet(DISCONNECT, b"\x8b\0"), hold=False),
                   r"^the broker at \S+ ended the connection: Server shutting down$"),
    "DISCONNECT, unknown reason": (sending(packet(DISCONNECT, b"\xfe\0"), hold=False),
                                   r"^the broker at \S+ ended the connection: " + NO_REASON),
    "DISCONNECT, text beyond its end": (
        sending(packet(DISCONNECT, b"\x8b\4\x1f\xff\xffa"), hold=False), LOST),
    "half a packet": (sending(publish(TOPIC)[:9], hold=False), LOST),
}
Outcome = collections.namedtuple("Outcome", "ended_by lost cpu_seconds exit_code")


def attacked(workspace, which):
    """What came of it once the program has lost that connection and made another."""
    hostile = HostileBroker(ATTACKS[which][0])
    p = hostile.program = rig.Persister(workspace, conftest.BINARY, {
        "mqtt.url": f"mqtt://127.0.0.1:{hostile.port}", "mqtt.connect_timeout": "2s",
        "storage.postgres.host": "127.0.0.1", "storage.postgres.port": rig.free_port()},
        name=f"attacked{list(ATTACKS).index(which)}", environment={"FAILPOINT_HASTE": "20"})
    hostile.pid = p.start().pid
    try:
        rig.wait_until(hostile.over.is_set, what=lambda: rig.tail(p.log, 5))
        lost = p.wait_event("broker_lost")
        rig.wait_until(lambda: hostile.count > 1, what=lambda: rig.tail(p.log, 5))
        return Outcome(hostile.ended_by, lost, p.cpu_seconds(), p.stop())
    finally:
        hostile.close()
        if p.running:
            p.kill9()


@pytest.fixture(scope="module")
def outcomes(workspace):
    """All attacks, several at a time: most of it is waiting."""
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        return dict(zip(ATTACKS, pool.map(lambda which: attacked(workspace, which), ATTACKS)))


@pytest.mark.parametrize("which", ATTACKS)
def test_what_the_broker_did_is_said_and_another_connection_made(outcomes, which):
    outcome = outcomes[which]
    assert re.search(ATTACKS[which][1], outcome.lost["msg"]), outcome
    assert "(null)" not in str(outcome.lost)
    # Where both end it, either may be first.
    if re.search(LOST, outcome.lost["msg"]) and outcome.ended_by == "us":
        assert "we ended it" in outcome.lost.get("hint", ""), outcome
    assert outcome.exit_code == 0
    assert outcome.ended_by in ("us", "them") and outcome.cpu_seconds < BUSY_CPU_S, outcome


def test_flood_beyond_what_we_allow_loses_nothing_that_is_acknowledged(persister, migrated):
    """Ten messages may be on their way; the broker sends thousands."""
    acknowledged = set()

    def flood(s):
        s.accept()
        threading.Thread(target=s.send, daemon=True, args=(b"".join(
            publish(TOPIC, b'[2,"%d","Heartbeat",{}]' % id, id=id)
            for id in range(1, FLOOD + 1)),)).start()
        while len(acknowledged) < FLOOD:
            first, body = s.read()
            if first is None:
                return
            if first == PUBACK:
                acknowledged.add(str(struct.unpack(">H", body[:2])[0]))

    hostile = HostileBroker(flood)
    p = persister({**migrated.writer_settings(), "mqtt.url": f"mqtt://127.0.0.1:{hostile.port}",
                   "mqtt.receive_maximum": "10"}).start()
    rig.wait_until(hostile.over.is_set, what=lambda: f"{len(acknowledged)}\n{rig.tail(p.log, 5)}")
    assert len(acknowledged) == FLOOD
    hostile.close()
    p.wait_metric("ocpp_persister_backlog_records", lambda backlog: backlog == 0)
    there = {id for id, in migrated.rows("SELECT message_id FROM ocpp_events")}
    assert acknowledged <= there
    assert p.stop() == 0
