"""When mosquitto writes its store (autosave_interval, autosave_on_changes): what each way costs,
and what a broker that ends loses with it. The ways take turns, so that the machine's other work
affects all of them.

The persister receives into its log, without a database; "away" means that it has a session and is
stopped, so that the broker queues.
"""

import json
import os
import statistics
import threading
import time

import paho.mqtt.client as mqtt
import rig
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

# autosave_interval counts seconds, or changes with autosave_on_changes.
WAYS = {
    "at a stop only": ["autosave_interval 0"],
    "every 10 s": ["autosave_interval 10"],
    "every second": ["autosave_interval 1"],
    "10,000 changes": ["autosave_on_changes true", "autosave_interval 10000"],
    "1,000 changes": ["autosave_on_changes true", "autosave_interval 1000"],
    "every change": ["autosave_on_changes true", "autosave_interval 1"],
}
RATE = 1000  # messages a second, until the broker ends
KILL_S = 20  # shortly before the second save of the longest interval above
STOP_S = 3
QUIET_S = 3  # nothing has come for so long: nothing is left
SAVED = "Saving in-memory database"
PAYLOAD = b"x" * 600


def measure(persister, fleet, runs, seconds):
    """{way: figures}, each the median of its runs. persister(workspace, broker): one in front of
    that broker; fleet(broker, *options): stations that publish to it, for so many seconds."""
    found = {way: [] for way in WAYS}
    for number in range(runs):
        for way in WAYS if number % 2 == 0 else reversed(WAYS):
            found[way].append({
                **publish(way, persister, fleet, seconds, away=True),
                **publish(way, persister, fleet, seconds, away=False),
                **lost(way)})
    return {way: {key: statistics.median(run[key] for run in of) for key in of[0]}
            for way, of in found.items()}


def publish(way, persister, fleet, limit_s, away):
    """As fast as the broker takes it; then what a stop costs that writes all of it."""
    with rig.Workspace() as workspace:
        broker = rig.Broker(workspace, settings=WAYS[way]).start()
        p = persister(workspace, broker).start()
        p.wait_metric("ocpp_persister_broker_up", 1)
        if away:
            p.stop()
        saves, cpu = count_saves(broker), rig.cpu_seconds(broker.pid)
        # What is not acknowledged at the end is not waited for: in some of the ways that takes
        # minutes.
        out, _ = fleet(broker, "--format", "json", "--rate", 0, "--seconds", limit_s,
                       "--drain-seconds", 1).communicate()
        summary = json.loads(out)
        messages = summary["acknowledged"]
        name = "away" if away else "there"
        figures = {f"{name}_per_second": messages / summary["seconds"],
                   f"{name}_us": (rig.cpu_seconds(broker.pid) - cpu) * 1e6 / messages,
                   f"{name}_saves": count_saves(broker) - saves}
        if not away:
            figures["rss_peak_mib"] = p.rss_peak_kib() / 1024
        if away:
            began = time.monotonic()
            broker.stop()
            figures["stop_s"] = time.monotonic() - began
            figures["store_bytes"] = os.path.getsize(f"{broker.folder}/mosquitto.db")
            figures["store_messages"] = messages
        return figures


def count_saves(broker):
    with open(broker.log, encoding="utf-8", errors="replace") as f:
        return sum(SAVED in line for line in f)


class Subscriber:
    """With a session that outlives its connections; got: the numbers of what it was given."""

    def __init__(self, broker, client_id, topic):
        self.broker, self.topic, self.got, self.at = broker, topic, set(), time.monotonic()
        self.subscribed = threading.Event()
        self.client = mqtt.Client(client_id, protocol=mqtt.MQTTv5)
        self.client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self._on_message

    def _on_message(self, _client, _context, message):
        self.got.add(int(message.topic.rsplit("/", 1)[1]))
        self.at = time.monotonic()

    def connect(self):
        kept = Properties(PacketTypes.CONNECT)
        kept.SessionExpiryInterval = 3600
        self.subscribed.clear()
        self.client.connect("127.0.0.1", self.broker.port, clean_start=False, properties=kept)
        self.client.loop_start()
        self.subscribed.wait(rig.STILL_S)

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()


def lost(way):
    """What is lost of the messages that the broker had acknowledged when it ended (by kill -9 or
    SIGTERM), for a subscriber that is away and for one that is connected."""
    killed, stopped = (lost_once(way, how, seconds)
                       for how, seconds in (("kill", KILL_S), ("stop", STOP_S)))
    return {"lost_away": killed[0], "lost_there": killed[1], "lost_stopped": sum(stopped)}


def lost_once(way, how, seconds):
    with rig.Workspace() as workspace:
        broker = rig.Broker(workspace, settings=WAYS[way]).start()
        away, there = (Subscriber(broker, name, "t/#") for name in ("away", "there"))
        away.connect()
        away.leave()
        there.connect()
        taken = publish_until_the_end(broker, how, seconds)
        there.leave()
        broker.start()
        for s in (away, there):
            s.connect()
        rig.wait_until(lambda: time.monotonic() - max(away.at, there.at) > QUIET_S,
                       what=lambda: (len(away.got), len(there.got)))
        for s in (away, there):
            s.leave()
        return len(taken - away.got), len(taken - there.got)


def publish_until_the_end(broker, how, seconds):
    """The numbers of those that the broker acknowledged before it ended."""
    taken, numbers = set(), {}
    client = mqtt.Client("publisher")
    client.max_inflight_messages_set(RATE)
    client.on_publish = lambda _client, _context, mid: taken.add(numbers[mid])
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    begin = time.monotonic()
    for number in range(RATE * seconds):
        wait = begin + number / RATE - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        # The answer may be here before publish() says what number it has.
        numbers[number % 65535 + 1] = number
        client.publish(f"t/{number}", PAYLOAD, 1)
    broker.kill9() if how == "kill" else broker.stop()
    client.disconnect()
    client.loop_stop()
    return taken


def tell(figures):
    base = figures[next(iter(WAYS))]
    print(f"""
when mosquitto writes its store: publishing at QoS 1 as fast as it takes it, to a subscriber that is
away and to one that is there; what is lost when it is killed {KILL_S} s into {RATE:,} messages a
second, and when it is stopped
  autosave              away: messages/s    CPU  saves  there: messages/s    CPU  saves  \
killed: away   there  stopped""")
    for way, f in figures.items():
        columns = "".join(
            f"{f[f'{name}_per_second']:>{width},.0f}"
            f"{f[f'{name}_per_second'] / base[f'{name}_per_second']:>6.2f}"
            f"{f[f'{name}_us']:>7.1f}{f[f'{name}_saves']:>7,.0f}"
            for name, width in (("away", 14), ("there", 13)))
        print(f"  {way:<16}{columns}{f['lost_away']:>14,.0f}{f['lost_there']:>8,.0f}"
              f"{f['lost_stopped']:>9,.0f}")
    print(f"  CPU: us a message, of the broker. {base['store_messages']:,.0f} queued messages are a"
          f" store of {base['store_bytes'] / (1 << 20):.0f} MiB,\n  which a stop wrote in"
          f" {base['stop_s']:.2f} s")
