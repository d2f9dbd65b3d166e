"""Records what passes between the broker and one worker: which messages it was given, which it
acknowledged, and whether the acknowledgements came in order (MQTT 5.0, section 4.6.0-2).

One Tap for each worker; one _Stream for each of its connections, which a rig.Proxy feeds.
"""

import json
import struct
import threading

import msgpack
from rig import DOWN

CONNECT, CONNACK, PUBLISH, PUBACK, SUBACK = 1, 2, 3, 4, 9


def messages_in(payload):
    """How many OCPP messages it holds. What is not a message counts as one."""
    try:
        m = json.loads(payload) if payload[:1] in b"{[" else msgpack.unpackb(payload)
    except Exception:  # garbage is published on purpose, of every kind
        return 1
    return len(m) if isinstance(m, list) and m and isinstance(m[0], (dict, list)) else 1


class Delivery:
    """One message that the broker had for the worker, however often it came."""

    def __init__(self, topic, payload):
        self.topic, self.payload = topic, payload
        self.count = messages_in(payload)
        self.acknowledged = False
        self.again = 0  # times that it came once more
        self.gone = False  # with the session, which the broker has lost: it will not come again
        self.ruined = False  # its record, by us, before it was stored


def _length(data, at):
    """(a variable byte integer, where it ends); None if it is not all there."""
    value = 0
    for shift in range(0, 28, 7):
        if at >= len(data):
            return None
        value |= (data[at] & 0x7f) << shift
        at += 1
        if not data[at - 1] & 0x80:
            break
    return value, at


class _Packets:
    """The packets of one direction, out of pieces of any size."""

    def __init__(self):
        self.buffer = b""

    def feed(self, data):
        self.buffer += data
        at = 0
        while at < len(self.buffer):
            found = _length(self.buffer, at + 1)
            if found is None or found[1] + found[0] > len(self.buffer):
                break
            end = found[1] + found[0]
            yield self.buffer[at], self.buffer[found[1]:end]
            at = end
        self.buffer = self.buffer[at:]


class _Stream:
    """One connection of the worker."""

    def __init__(self, tap):
        self.tap, self.version = tap, 4
        self.up, self.down = _Packets(), _Packets()
        self.waiting = []  # (packet id, Delivery) in the order in which they came

    def feed(self, direction, data):
        for first, body in (self.down if direction == DOWN else self.up).feed(data):
            with self.tap.lock:
                self._packet(direction, first, body)

    def _packet(self, direction, first, body):
        kind = first >> 4
        if direction == DOWN and kind == PUBLISH and first >> 1 & 3 == 1:
            self._publish(first, body)
        elif direction == DOWN and kind == CONNACK and body[1] == 0 and not body[0] & 1:
            self.tap.begin_session()
        elif direction == DOWN and kind == SUBACK:
            self.tap.subscribed = True
        elif direction != DOWN and kind == PUBACK:
            self._puback(struct.unpack(">H", body[:2])[0])
        elif direction != DOWN and kind == CONNECT:
            self.version = body[2 + struct.unpack(">H", body[:2])[0]]

    def _publish(self, first, body):
        size = struct.unpack(">H", body[:2])[0]
        topic, at = body[2:2 + size].decode(), 2 + size
        packet, at = struct.unpack(">H", body[at:at + 2])[0], at + 2
        if self.version >= 5:
            properties, at = _length(body, at)
            at += properties
        self.waiting.append((packet, self.tap.delivered(packet, first & 8, topic, body[at:])))

    def _puback(self, packet):
        order = [p for p, _ in self.waiting]
        if not order or order[0] != packet:
            self.tap.out_of_order.append(f"PUBACK {packet}, but {order[:5]} are waited for")
        for i, (p, delivery) in enumerate(self.waiting):
            if p == packet:
                del self.waiting[i]
                self.tap.acknowledge(delivery)
                return


class Tap:
    """For one worker. Threads of the proxy write, under lock; counters may be read by anybody."""

    def __init__(self):
        self.lock = threading.Lock()
        self.deliveries = []
        self.acknowledged = 0  # MQTT messages
        self.subscribed = False
        self.out_of_order = []
        self._by_packet = {}  # outlives a connection, as the session does

    def observe(self):
        return _Stream(self)

    def begin_session(self):
        """The broker knows of no earlier one, so nothing comes again."""
        self._by_packet.clear()
        for d in self.deliveries:
            d.gone = not d.acknowledged

    def delivered(self, packet, dup, topic, payload):
        known = self._by_packet.get(packet)
        # One without DUP is new. One with DUP may be new to us: the first never got this far.
        if dup and known and (known.topic, known.payload) == (topic, payload):
            known.again += 1
            return known
        delivery = self._by_packet[packet] = Delivery(topic, payload)
        self.deliveries.append(delivery)
        return delivery

    def acknowledge(self, delivery):
        if not delivery.acknowledged:
            delivery.acknowledged = True
            self.acknowledged += 1

    def pending(self):
        with self.lock:
            return sum(not d.acknowledged and not d.gone for d in self.deliveries)

    def taken(self, also_ruined=False):
        """All that was acknowledged, without what was ruined in the log since."""
        with self.lock:
            return [d for d in self.deliveries if d.acknowledged and (also_ruined or not d.ruined)]

    def ruin(self, data):
        """The newest of the deliveries whose records are in these bytes of a log."""
        with self.lock:
            for d in reversed(self.deliveries):
                at = -1 if d.ruined else data.rfind(d.payload)
                if at >= 0:
                    d.ruined = True
                    data = data[:at] + data[at + len(d.payload):]
