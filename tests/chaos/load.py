"""The load of a round, by seed: messages that each say something unique, in all forms, alone and in
batches, some of them repeated, in any order, mixed with garbage; and what must be in the database
for each. See auditor.py for the facts."""

import collections
import datetime
import json
import random
import threading
import time

import msgpack
import paho.mqtt.client as mqtt
from forms import FORMS, SHAPES, written
from histories import History

EPOCH = datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc)
STATIONS = 40
ODD_TIMES = ["yesterday", "2026-13-45T00:00:00Z", "T", "n/a"]
TEXTS = ["", "\u00e9\u00df", "\U0001f50c plug", "a'b\"c\\d", "tab\tnew\nline", "x" * 3000]

# table and key tell a row; content must be equal. topic and payload: the messages it came in.
Fact = collections.namedtuple("Fact", "table key content")
Message = collections.namedtuple("Message", "station direction version envelope facts")
Publication = collections.namedtuple("Publication", "topic payload facts")


class Maker:
    """Messages of stations whose names begin with prefix."""

    def __init__(self, seed, prefix="k", live=True):
        self.random = random.Random(f"{seed} {prefix}")
        self.prefix, self.live = prefix, live
        self.number = 0
        self.transactions = {}  # by station: (id, seqNo)

    def next(self):
        """One or two messages."""
        self.number += 1
        kind = self.random.choices(
            [self.meter, self.data, self.heartbeat, self.status, self.authorize, self.event,
             self.odd_meter], [30, 15, 10, 10, 10, 20, 5])[0]
        return kind(f"{self.prefix}{self.random.randrange(STATIONS):03}", f"m{self.number}")

    def time(self):
        """Each message's own; over several days."""
        day = self.number % 4 + (0 if self.live else 40)  # what is replayed has days of its own
        at = EPOCH + datetime.timedelta(days=day, seconds=self.number)
        return at.strftime("%Y-%m-%dT%H:%M:%SZ"), int(at.timestamp())

    def _event(self, station, id, action, request, version="1.6"):
        fact = Fact("ocpp_events", (station, "call", id), (action, request))
        return [Message(station, "in", version,
                        {"type": 2, "action": action, "id": id, "request": request}, [fact])]

    def heartbeat(self, station, id):
        return self._event(station, id, "Heartbeat", {})

    def data(self, station, id):
        request = {"vendorId": "V", "messageId": id, "data": self.random.choice(TEXTS) + id}
        made = self._event(station, id, "DataTransfer", request)
        if self.random.random() < 0.5:
            response = {"status": "Accepted", "data": f"to {id}"}
            made.append(Message(station, "out", "1.6", {
                "type": 3, "action": "DataTransfer", "id": id, "response": response},
                [Fact("ocpp_events", (station, "result", id), response)]))
        return made

    def status(self, station, id):
        return self._event(station, id, "StatusNotification", {
            "connectorId": self.random.randint(0, 2), "errorCode": "NoError",
            "status": self.random.choice(["Available", "Charging"]), "info": id,
            "timestamp": self.time()[0]})

    def _values(self):
        return [f"{self.number}.{self.random.randrange(100):02}"
                for _ in range(self.random.randint(1, 5))]

    def meter(self, station, id, text=None):
        text, seconds = (text, None) if text else self.time()
        values = self._values()
        request = {"connectorId": 1, "meterValue": [{"timestamp": text, "sampledValue": [
            {"value": v, **({"phase": f"L{i}"} if i else {})} for i, v in enumerate(values)]}]}
        return [Message(station, "in", "1.6", {
            "type": 2, "action": "MeterValues", "id": id, "request": request},
            [Fact("meter_values", (station, seconds or text), tuple(values))])]

    def odd_meter(self, station, id):
        return self.meter(station, id, f"{self.random.choice(ODD_TIMES)} {id}")

    def authorize(self, station, id):
        made = [Message(station, "in", "1.6", {
            "type": 2, "action": "Authorize", "id": id, "request": {"idTag": f"T{id}"}},
            [Fact("authorizations", (station, id), f"T{id}")])]
        if self.random.random() < 0.7:
            made.append(Message(station, "out", "1.6", {
                "type": 3, "action": "Authorize", "id": id,
                "response": {"idTagInfo": {"status": "Blocked"}}}, []))
        return made

    def event(self, station, id):
        transaction, seq = self.transactions.get(station, (None, 0))
        kind = "Updated"
        if transaction is None:
            transaction, kind = f"tx-{id}", "Started"
        elif seq > self.random.randint(2, 8):
            kind = "Ended"
        self.transactions[station] = (None, 0) if kind == "Ended" else (transaction, seq + 1)
        text, seconds = self.time()
        return [Message(station, "in", "2.0.1", {
            "type": 2, "action": "TransactionEvent", "id": id, "request": {
                "eventType": kind, "timestamp": text, "seqNo": seq,
                "triggerReason": "CablePluggedIn",
                "transactionInfo": {"transactionId": transaction}}},
            [Fact("transaction_events", (station, transaction, seq), (kind, seconds)),
             Fact("transactions", (station, transaction), None)])]

    def garbage(self):
        self.number += 1
        text = f"{self.prefix} garbage {self.number}"
        payload = self.random.choice([
            text.encode(), b"\xc1" + text.encode(), f'{{"type":2,"{text}'.encode(),
            f'[2,"{text}"'.encode(), b"\xff\xfe" + text.encode()])
        topic = f"cs/in/ocpp1.6/{self.prefix}{self.number % STATIONS:03}"
        return Publication(topic, payload, [Fact("dead_letters", payload, topic)])


def _batch(messages, form):
    """Several of one topic in one payload, all in one form."""
    shape, code = form.split()
    shaped = [SHAPES[shape](m.envelope) for m in messages]
    return msgpack.packb(shaped) if code == "msgpack" else json.dumps(shaped).encode()


def publications(seed, count, prefix="k", live=True, plain=False):
    """About count OCPP messages, in the order in which they are published. Not live: only what a
    capture can hold, and what a day's log would have. plain: only JSON of stations that are not
    odd, which anybody can store."""
    odd = live and not plain
    forms = FORMS if odd else [form for form in FORMS if form.endswith("json")]
    maker, rng = Maker(seed, prefix, live), random.Random(f"{seed} order {prefix}")
    by_topic, made = collections.defaultdict(list), []

    def flush(topic, size):
        some, by_topic[topic] = by_topic[topic][:size], by_topic[topic][size:]
        form = rng.choice(forms)
        payload = written(some[0].envelope, form) if len(some) == 1 else _batch(some, form)
        made.append(Publication(topic, payload, [f for m in some for f in m.facts]))

    while maker.number < count:
        if odd and rng.random() < 0.02:
            made.append(maker.garbage())
        for m in maker.next():
            topic = f"cs/{m.direction}/ocpp{m.version}/{m.station}"
            by_topic[topic].append(m)
            if len(by_topic[topic]) >= 8 or rng.random() < 0.7:
                flush(topic, rng.randint(1, len(by_topic[topic])))
    for topic in list(by_topic):
        while by_topic[topic]:
            flush(topic, 8)
    for number in range(count // 400 if odd else 0):
        h = History(seed * 1000 + number)
        made += [Publication(f"cs/{direction}/ocpp{h.version}/p{h.seed:07}",
                             written(envelope, rng.choice(["envelope json", "maeve json"])), [])
                 for direction, envelope in h.messages]
    made += rng.sample(made, len(made) // 16)  # again, the very bytes
    # Out of order: each up to 200 places from where it was.
    return [p for _, p in sorted(((i + rng.uniform(0, 200), p) for i, p in enumerate(made)),
                                 key=lambda pair: pair[0])]


def capture(path, made):
    """As mosquitto_sub would have written them down: for replay."""
    at = "2026-03-10T12:00:00Z"
    with open(path, "w", encoding="ascii") as f:
        for p in made:
            # JSON text cannot hold other bytes.
            f.write(json.dumps({"topic": p.topic, "payload": p.payload.decode(),
                                "received_at": at}) + "\n")


def is_published(info):
    """What found no connection is kept by the client, and sent once there is one."""
    if info.rc == mqtt.MQTT_ERR_NO_CONN:
        info.rc = mqtt.MQTT_ERR_SUCCESS
    return info.is_published()


class Publisher(threading.Thread):
    """Publishes at a rate; what the broker did not acknowledge is published again."""

    def __init__(self, port, made, rate):
        super().__init__(daemon=True)
        self.made, self.rate = made, rate
        self.sent, self.error = [], None
        self.client_id = f"load{port}"
        self.client = mqtt.Client(self.client_id, clean_session=False, protocol=mqtt.MQTTv311)
        self.client.max_inflight_messages_set(1000)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)

    def run(self):
        self.client.loop_start()
        begin = time.monotonic()
        for i, p in enumerate(self.made):
            wait = begin + i / self.rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)  # the rate of the load
            self.sent.append(self.client.publish(p.topic, p.payload, 1))

    def acknowledged(self):
        return sum(map(is_published, list(self.sent)))

    def is_done(self):
        return not self.is_alive() and self.acknowledged() == len(self.made)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()
