"""Compares the program with what is often written instead of it, on the same queue of messages: a
Node client and a Python client, which store the messages as JSONB in a table. Each is killed
once."""

import os
import shutil
import statistics
import subprocess
import time

import mqtt_probe
import paho.mqtt.client as mqtt
import rig
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")
TABLE = """CREATE TABLE messages (received_at timestamptz NOT NULL, topic text NOT NULL,
payload jsonb NOT NULL); CREATE INDEX ON messages (topic, received_at)"""
LOOK_S = 0.25
STILL_LOOKS = 40


PYTHON = ["/usr/bin/python3", os.path.join(HERE, "peer.py")]
NODE_NEEDS = "node and npm, and what bench/peers/package.json names, are needed"


def node_command(workspace):
    """With its packages from npm; None if there is no node, or no way to get these."""
    node, folder = shutil.which("node"), os.path.join(workspace.path, "node")
    if not node or not shutil.which("npm"):
        return None
    shutil.copytree(HERE, folder)
    done = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=folder,
                          capture_output=True, text=True)
    return [node, os.path.join(folder, "peer.mjs")] if done.returncode == 0 else None


class Peer:
    """One of them, in front of a database of its own."""

    def __init__(self, bench, name, command, database):
        self.bench, self.command, self.name = bench, command, name
        bench.postgres.psql(f"CREATE DATABASE {database}")
        self.database = database
        self.sql(TABLE)
        self.client_id = f"peer-{database}"
        self.process = None

    def sql(self, statement):
        return self.bench.postgres.psql(statement, self.database)

    def subscribe(self):
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        done = []
        client = mqtt.Client(self.client_id, protocol=mqtt.MQTTv5)
        client.on_subscribe = lambda *_: done.append(True)
        client.connect("127.0.0.1", self.bench.broker.port, clean_start=True,
                       properties=properties)
        client.loop_start()
        client.subscribe([("cs/in/+/+", 1), ("cs/out/+/+", 1)])
        rig.wait_until(lambda: done, what="a subscription")
        client.disconnect()
        client.loop_stop()

    def start(self):
        dsn = self.bench.postgres.dsn(self.database)
        with open(os.path.join(self.bench.workspace.path, f"{self.database}.log"), "ab") as log:
            self.process = subprocess.Popen(
                [*self.command, str(self.bench.broker.port), self.client_id, dsn], stdout=log,
                stderr=log)

    def stored(self):
        return int(self.sql("SELECT count(*) FROM messages"))

    def outcome(self, messages):
        distinct = int(self.sql("SELECT count(DISTINCT (topic, payload->>'id', payload->>'type'))"
                                " FROM messages"))
        return {"lost": messages - distinct, "doubled": self.stored() - distinct}

    def cpu_seconds(self):
        return rig.cpu_seconds(self.process.pid)

    def rss_peak_mib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024

    def kill(self):
        self.process.kill()
        self.process.wait()

    def size(self):
        return int(self.sql("SELECT pg_database_size(current_database())"))


class Ours:
    """The program itself, with what a peer is asked."""

    def __init__(self, bench, name, mode, database):
        self.bench, self.name, self.database = bench, name, database
        bench.new_log(database).new_database(database)
        bench.persister.settings["spool.sync"] = mode
        self.client_id = bench.persister.settings["mqtt.client_id"]

    def subscribe(self):
        self.bench.persister.start()
        self.bench.persister.wait_metric("ocpp_persister_broker_connects_total", 1)
        self.bench.persister.stop()

    def start(self):
        self.bench.persister.start()

    def stored(self):
        return int(self.bench.postgres.psql(
            "SELECT coalesce(sum(received), 0) FROM ocpp.ingest_progress", self.database))

    def outcome(self, messages):
        """What was found to be a duplicate was not stored again."""
        once = int(self.bench.postgres.psql(
            "SELECT coalesce(sum(received - duplicate), 0) FROM ocpp.ingest_progress",
            self.database))
        return {"lost": max(messages - once, 0), "doubled": max(once - messages, 0)}

    def cpu_seconds(self):
        return self.bench.persister.cpu_seconds()

    def rss_peak_mib(self):
        return self.bench.persister.rss_peak_kib() / 1024

    def kill(self):
        self.bench.persister.kill9()

    def size(self):
        return int(self.bench.postgres.psql("SELECT pg_database_size(current_database())",
                                            self.database))


def wait_stored(of, messages):
    """Until so many are stored, or none more come: how many."""
    seen, still = -1, 0
    while seen < messages and still < STILL_LOOKS:
        time.sleep(LOOK_S)
        before, seen = seen, of.stored()
        still = still + 1 if seen == before else 0
    return seen


def drain(bench, of, fleet, summary_of, messages):
    of.subscribe()
    empty = of.size()
    summary_of(fleet("--format", "json", "--rate", 0, "--messages", messages))
    before = {"broker": rig.cpu_seconds(bench.broker.pid),
              "postgres": rig.cpu_seconds(bench.postgres.pid)}
    began = time.monotonic()
    of.start()
    stored = wait_stored(of, messages)
    seconds = time.monotonic() - began
    if stored < messages:
        raise rig.RigError(f"{of.name}: {stored} of {messages} messages")
    figures = {"messages_per_second": messages / seconds,
               "client_us": of.cpu_seconds() * 1e6 / messages,
               "broker_us": (rig.cpu_seconds(bench.broker.pid) - before["broker"])
               * 1e6 / messages,
               "postgres_us": (rig.cpu_seconds(bench.postgres.pid) - before["postgres"])
               * 1e6 / messages,
               "bytes": (of.size() - empty) / messages,
               "rss_peak_mib": of.rss_peak_mib()}
    of.kill()
    mqtt_probe.end_session(bench.broker.port, of.client_id)
    return figures


def killed_once(of, fleet, summary_of, messages):
    """(lost, doubled): it is killed when a third is stored, and started again."""
    of.subscribe()
    summary_of(fleet("--format", "json", "--rate", 0, "--messages", messages))
    of.start()
    wait_stored(of, messages // 3)
    of.kill()
    of.start()
    wait_stored(of, messages)
    outcome = of.outcome(messages)
    of.kill()
    mqtt_probe.end_session(of.bench.broker.port, of.client_id)
    return outcome


def contenders(bench):
    """name -> a function of the database's name."""
    found = {"ours": lambda db: Ours(bench, "ours", "message", db),
             "ours, interval": lambda db: Ours(bench, "ours, interval", "interval", db)}
    found["Python"] = lambda db: Peer(bench, "Python", PYTHON, db)
    node = node_command(bench.workspace)
    if node:
        found["Node"] = lambda db: Peer(bench, "Node", node, db)
    else:
        print(f"Node is left out: {NODE_NEEDS}")
    return found


def measure(bench, fleet, summary_of, runs, messages):
    all_of = contenders(bench)
    found = {name: [] for name in all_of}
    for number in range(runs):
        for index, (name, make) in enumerate(all_of.items()):
            of = make(f"peer_{index}_{number}")
            found[name].append(drain(bench, of, fleet, summary_of, messages))
    medians = {name: {key: statistics.median(run[key] for run in of) for key in of[0]}
               for name, of in found.items()}
    for index, (name, make) in enumerate(all_of.items()):
        medians[name].update(killed_once(make(f"peer_{index}_killed"), fleet, summary_of,
                                         messages))
    return medians


def tell(figures):
    print("""
the same queue at the broker, JSON of six samples, until the last row is committed
                    messages/s   CPU a message: client, broker, PostgreSQL   bytes   MiB  killed""")
    for name, f in figures.items():
        print(f"  {name:<16}{f['messages_per_second']:>12,.0f}{f['client_us']:>24.1f}"
              f"{f['broker_us']:>8.1f}{f['postgres_us']:>8.1f} us{f['bytes']:>11.0f}"
              f"{f['rss_peak_mib']:>6.0f}   {f['lost']} lost, {f['doubled']} doubled")
    best = max((f for name, f in figures.items() if not name.startswith("ours")),
               key=lambda f: f["messages_per_second"])
    ours = figures["ours"]
    for key, label, asked in (("messages_per_second", "messages/s", ">= 1.6"),
                              ("client_us", "client CPU", "<= 0.9"),
                              ("postgres_us", "PostgreSQL CPU", "<= 0.6"),
                              ("bytes", "bytes", "<= 0.25")):
        print(f"  ours : best peer, {label:<16}{ours[key] / best[key]:>8.2f}  (asked {asked})")
