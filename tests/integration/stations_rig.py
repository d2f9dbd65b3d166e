"""Runs ocpp-stations and collects what arrives, for test_stations.py."""

import collections
import json
import os
import pathlib
import re
import subprocess
import threading

import msgpack
import paho.mqtt.client as mqtt
import rig
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATIONS = os.environ.get("OCPP_STATIONS", str(ROOT / "build" / "dev" / "ocpp-stations"))
DEADLINE_S = rig.HANGS_S
START = "2026-01-31T22:00:00Z"


class Subscriber:
    """Keeps what arrives; the session outlives a restart of the broker."""

    def __init__(self, broker, client_id="subscriber"):
        self.messages = []
        self.changed = threading.Condition()
        self.is_subscribed = False
        self.client = mqtt.Client(client_id, protocol=mqtt.MQTTv5)
        self.client.max_inflight_messages_set(65535)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self.client.connect("127.0.0.1", broker.port, clean_start=False, properties=properties)
        self.client.loop_start()
        self.wait(lambda: self.is_subscribed)

    def _on_connect(self, client, userdata, flags, reason, properties):
        client.subscribe("cs/#", qos=2)

    def _on_subscribe(self, client, userdata, mid, reasons, properties):
        with self.changed:
            self.is_subscribed = True
            self.changed.notify_all()

    def _on_message(self, client, userdata, message):
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def _wait_for(self, predicate, what):
        patience = rig.Patience(what=lambda: len(self.messages))
        while not self.changed.wait_for(predicate, 0.5):
            assert patience.left(), what

    def wait(self, predicate):
        with self.changed:
            self._wait_for(predicate, "what was waited for")

    def wait_count(self, count):
        self.wait(lambda: len(self.messages) >= count)
        return list(self.messages)

    def wait_identities(self, wanted):
        """Until all of these have come; returns what came."""
        came, done = collections.Counter(), 0
        while wanted - came:
            with self.changed:
                self._wait_for(lambda: len(self.messages) > done, wanted - came)
                new = self.messages[done:]
            done += len(new)
            came += identities(new)
        return came

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class Run:
    """One run of ocpp-stations."""

    def __init__(self, broker, folder, *arguments, seed=42, ledger=True):
        self.path = folder / f"ledger-{os.urandom(4).hex()}.jsonl"
        command = [STATIONS, "--broker", broker.url, "--seed", str(seed), "--start", START]
        if ledger:
            command += ["--ledger", str(self.path)]
        self.process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.summary = None
        self.errors = None

    def wait(self, code=0):
        out, self.errors = self.process.communicate(timeout=DEADLINE_S)
        assert self.process.returncode == code, self.errors
        self.summary = json.loads(out) if out else None
        return self

    def wait_status(self, **at_least):
        """Until a status line says so: wait_status(published=1000)."""
        for line in self.process.stderr:
            told = dict(re.findall(r"([a-z]+) (\d+)", line))
            if all(int(told.get(name, -1)) >= count for name, count in at_least.items()):
                return
        raise AssertionError("it ended before")

    @property
    def ledger(self):
        return Ledger(self.path)


class Ledger:
    def __init__(self, path):
        self.lines = [json.loads(line, parse_float=Number)
                      for line in path.read_text().splitlines()]
        self.messages = {line["m"]: line for line in self.lines if "m" in line}
        self.sessions = [line for line in self.lines if line.get("t") == "transactions"]
        self.acknowledged = set()
        for line in self.lines:
            for item in line.get("a", []):
                first, last = item if isinstance(item, list) else (item, item)
                self.acknowledged.update(range(first, last + 1))

    def facts(self):
        return [fact for line in self.messages.values() for fact in line.get("facts", [])]


class Number(str):
    """A number as its sender wrote it."""


def number_of_float(value):
    text = repr(value)
    return Number(text[:-2] if text.endswith(".0") else text)


def numbers_as_text(value):
    if isinstance(value, dict):
        return {key: numbers_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [numbers_as_text(item) for item in value]
    if isinstance(value, float):
        return number_of_float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Number(value)
    return value


def decode(payload):
    """An OCPP message or several; numbers as text."""
    if payload[:1] in (b"{", b"["):
        return json.loads(payload, parse_float=Number, parse_int=Number)
    return numbers_as_text(msgpack.unpackb(payload))


def elements(payload):
    decoded = decode(payload)
    return decoded if isinstance(decoded, list) and isinstance(decoded[0], dict) else [decoded]


def identity(topic, element):
    """What tells messages apart: (topic, kind, message id)."""
    if isinstance(element, dict):
        kind, message_id = element["type"], element["id"]
    else:
        kind, message_id = element[0], element[1]
    return topic, {"2": "call", "3": "result", "4": "error"}[kind], message_id


def identities(messages):
    return collections.Counter(identity(message.topic, element) for message in messages
                               for element in elements(message.payload))


def ledger_identities(ledger, numbers=None):
    """Those of the messages with these numbers, or of all."""
    return collections.Counter((line["topic"], line["kind"], line["id"])
                               for number, line in ledger.messages.items()
                               if numbers is None or number in numbers)


def undelivered(path, taps):
    """What the broker had acknowledged to ocpp-stations, by its ledger, and gave to no worker, by
    what chaos/tap.py saw of each: its own loss, which is not to be taken for ours."""
    given = {identity(d.topic, element) for tap in taps for d in tap.deliveries
             for element in elements(d.payload)}
    ledger = Ledger(pathlib.Path(path))
    return [m for number, m in ledger.messages.items() if number in ledger.acknowledged
            and (m["topic"], m["kind"], str(m["id"])) not in given]
