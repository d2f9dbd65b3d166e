"""Scenarios with a real PostgreSQL, one of them with a real broker, and what must be in the tables
after each: what an untouched run leaves, once."""

import datetime
import glob
import json
import os

import conftest
import paho.mqtt.client as mqtt
import rig
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

SERVERS = ["libpq", "cut", "memory", "EIO", "ENOSPC", "EINTR", "short"]
RECEIVED = "2026-03-10T12:00:00Z"  # what is in a capture
DAY = datetime.date(2026, 2, 20)  # of meter values: their partition is to be made in each run
SESSION_S = 3600
ARCHIVES = 2  # of a log when a run begins
UNDATED = "n"  # the id of a message without a valid time

# What is a fault if it is there after a run.
LEFTOVERS = {
    "sessions": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND usename = 'persister'",
    "loading tables": "SELECT count(*) FROM ocpp.loading_partitions",
    "prepared transactions": "SELECT count(*) FROM pg_prepared_xacts",
    "advisory locks": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
    "tables outside their parents": """SELECT count(*) FROM pg_class
        WHERE relnamespace = 'ocpp'::regnamespace AND relkind = 'r' AND NOT relispartition
        AND relname ~ '_([0-9]{4}_[0-9]{2}|undated)'""",
}


def messages(station):
    """A few of each kind: (topic, payload). What differs between two calls is the station, as long
    each time."""
    def call(action, id, request, version="1.6"):
        return (f"cs/in/ocpp{version}/{station}", json.dumps(
            {"type": 2, "action": action, "id": id, "request": request}))

    def answer(action, id, response):
        return (f"cs/out/ocpp1.6/{station}", json.dumps(
            {"type": 3, "action": action, "id": id, "response": response}))

    def event(kind, seq):
        return call("TransactionEvent", f"e{seq}", {
            "eventType": kind, "timestamp": f"2026-03-01T10:0{seq}:00Z", "seqNo": seq,
            "triggerReason": "CablePluggedIn", "transactionInfo": {"transactionId": "tx"}},
            "2.0.1")

    return [
        call("BootNotification", "b", {"chargePointVendor": "V", "chargePointModel": "M"}),
        call("Heartbeat", "h", {}),
        call("StatusNotification", "s", {"connectorId": 1, "errorCode": "NoError",
                                         "status": "Charging",
                                         "timestamp": "2026-03-01T10:00:00Z"}),
        call("Authorize", "a", {"idTag": "TAG"}),
        answer("Authorize", "a", {"idTagInfo": {"status": "Blocked"}}),
        call("StartTransaction", "t", {"connectorId": 1, "idTag": "TAG", "meterStart": 100,
                                       "timestamp": "2026-03-01T10:00:00Z"}),
        answer("StartTransaction", "t", {"transactionId": 7,
                                         "idTagInfo": {"status": "Accepted"}}),
        call("MeterValues", "m", {"connectorId": 1, "transactionId": 7, "meterValue": [
            {"timestamp": f"{DAY}T10:05:00Z", "sampledValue": [{"value": "123.40"}]}]}),
        call("MeterValues", UNDATED, {"connectorId": 1, "meterValue": [
            {"timestamp": "yesterday", "sampledValue": [{"value": "1"}]}]}),
        call("StopTransaction", "u", {"transactionId": 7, "meterStop": 600, "idTag": "TAG",
                                      "timestamp": "2026-03-01T11:00:00Z"}),
        event("Started", 0), event("Updated", 1), event("Ended", 2),
        (f"cs/in/ocpp1.6/{station}", "no message at all"),
        (f"cs/store/runtime", json.dumps({
            "op": "set", "charge_station_id": station, "ocpp_version": "1.6", "vendor": "V",
            "last_updated": "2026-03-01T10:00:00Z"})),
    ]


def capture(path, station):
    """The same as a file to replay."""
    with open(path, "w", encoding="ascii") as f:
        for topic, payload in messages(station):
            f.write(json.dumps({"topic": topic, "payload": payload,
                                "received_at": RECEIVED}) + "\n")


def shorten(log):
    """Older archives go, as they do once spool.retain is over: with one more each time, a run would
    have more calls than the one before, and the last of them would never be reached."""
    archives = sorted(glob.glob(os.path.join(log, "*.seg.zst")))
    for path in archives[:-ARCHIVES]:
        os.unlink(path)


class Cluster:
    """A PostgreSQL and a broker, both with TLS and without, and a migrated database to copy."""

    def __init__(self, workspace):
        self.tls = rig.Certificates(workspace)
        certificate, key = self.tls.issue("127.0.0.1", days=31)
        self.postgres = rig.Postgres(workspace, fast=True, settings={
            "ssl": "on", "ssl_cert_file": f"'{certificate}'", "ssl_key_file": f"'{key}'"}).start()
        self.certificate = certificate
        self.migrated = conftest.make_database(self.postgres)
        done = conftest.run_cli(self.migrated.settings(), "migrate", "up")
        assert done.returncode == 0, done.stderr

    def copy(self, of=None):
        """A Database as that one, or as newly migrated."""
        return Database(conftest.make_database(self.postgres,
                                               template=(of or self.migrated).name))

    def rows(self, sql):
        with conftest.psycopg.connect(self.postgres.dsn(), autocommit=True) as c:
            c.execute(sql)


class Database:
    """What the tables of a migrated database say."""

    def __init__(self, made):
        self.made, self.name = made, made.name
        self.settings = self.made.writer_settings()
        self.connection = self.made.connect()
        self.tables = [name for name, in self.rows("""
            SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relnamespace = 'ocpp'::regnamespace AND c.relkind IN ('r', 'p')
            AND NOT c.relispartition AND a.attname = 'charge_station_id'
            AND a.attndims = 0 AND c.relname NOT IN ('station_activity', 'energy_hours',
                'energy_pending')""")]

    def rows(self, sql, *parameters):
        return self.connection.execute(sql, parameters or None).fetchall()

    def drop_day(self):
        """DAY has no partition again: with a new day each time there would soon be too many."""
        self.connection.execute(f"DROP TABLE IF EXISTS meter_values_{DAY:%Y_%m_%d}")

    def options(self):
        return [f"--{key}={value}" for key, value in self.settings.items()]

    def said(self, station):
        """Rows as text, without what tells this station from others."""
        found = []
        for table in self.tables:
            found += [(table, row) for row, in self.rows(
                f"SELECT to_jsonb(t) FROM {table} t WHERE charge_station_id = %s", station)]
        found += [("dead_letters", row) for row, in self.rows(
            "SELECT to_jsonb(t) FROM dead_letters t WHERE topic LIKE %s", f"%/{station}")]
        for _, row in found:
            # Its digest has the time of receipt in it, as a number of dedupe.window.
            if row.get("message_id") == UNDATED or row.get("time_source") == "i":
                del row["digest"]
        return [(table, {key: json.dumps(value).replace(station, "STATION")
                         for key, value in row.items()}) for table, row in found]

    def leftovers(self):
        def found():
            return [f"{count} {what}" for what, sql in LEFTOVERS.items()
                    for count, in self.rows(sql) if count]

        try:  # the server notices the end of a connection in its own time
            rig.wait_until(lambda: not found(), 20, lambda: str(found()))
        except rig.TimedOut:
            return found()
        return []

    def contents(self):
        """All rows of all tables, as (table, {column: text}), sorted."""
        tables = [name for name, in self.rows("""
            SELECT relname FROM pg_class WHERE relnamespace = 'ocpp'::regnamespace
            AND relkind IN ('r', 'p') AND NOT relispartition
            AND relname NOT IN ('station_activity', 'station_changes', 'energy_hours',
                'energy_pending')""")]
        found = [(table, {key: json.dumps(value) for key, value in row.items()})
                 for table in tables for row, in self.rows(f"SELECT to_jsonb(t) FROM {table} t")]
        return sorted(found, key=lambda row: (row[0], str(row[1])))

    def drop(self):
        self.close()
        self.made.cluster.psql(f"DROP DATABASE {self.name} WITH (FORCE)")

    def close(self):
        self.connection.close()


class Stored:
    """What is common to those that store messages: one call fails, then all is done again without,
    and then all must be there once, as after an untouched run."""

    cost = 4
    few = ["cut", "memory"]  # ways
    timed = set()  # (table, column) that depend on when, although two runs may agree by chance

    def __init__(self, stage):
        self.stage = stage
        self.database = stage.database()
        self.number = 0
        self.unused = None  # a station that is prepared
        # Two untouched runs: where they differ, others may differ, too. They also count the calls.
        self.counts = {}
        first, second = (self._untouched(way) for way in (self.few or self.ways)[:2])
        assert len(first) == len(second) > 10, (first, second)
        self.differ = {(table, key) for (table, a), (_, b) in zip(first, second)
                       for key in a if a[key] != b[key]} | self.timed
        self.first = first
        assert self._settled(first) == self._settled(second)

    def _settled(self, said, again=False):
        """again: a second run may count what the first has done."""
        left_out = self.differ | ({("dead_letters", "count")} if again else set())
        return sorted((table, *sorted((key, value) for key, value in row.items()
                                      if (table, key) not in left_out))
                      for table, row in said)

    def _begin(self):
        """The station of the next run."""
        if self.unused:
            station, self.unused = self.unused, None
            return station
        self.number += 1
        station = f"{self.name}{self.number:06}"
        self.database.drop_day()
        self.prepare(station)
        return station

    def _untouched(self, way):
        station = self._begin()
        ran = self.once(way, 0, station)
        assert ran.exit == 0, ran
        self.counts[way] = ran.calls
        return sorted(self.database.said(station), key=lambda said: (said[0], str(said[1])))

    def count(self, way):
        if way not in self.counts:
            self._untouched(way)
        return self.counts[way]

    def fail(self, way, call):
        station = self._begin()
        ran = self.once(way, call, station)
        found = [*ran.broken()]
        if ran.did_nothing():
            self.unused = station
            return ran, found
        if ran.exit != 0:
            again = self.once("none", 0, station)
            if again.exit != 0:
                found.append(f"without a fault again: {again} after {ran.err[-1000:]}")
        said, wanted = (self._settled(rows, ran.exit != 0)
                        for rows in (self.database.said(station), self.first))
        found += [f"lost or altered: {row}" for row in wanted if row not in said]
        found += [f"doubled or altered: {row}" for row in said
                  if said.count(row) != wanted.count(row)]
        if found:
            found.append(f"exit={ran.exit} {ran.err[-1000:]!r}")
        found += [f"left over: {what}" for what in self.database.leftovers()]
        return ran, found

    def end(self):
        return []


class Replay(Stored):
    """A capture is replayed into tables that have no partition for DAY yet."""

    name = "replay"
    ways = SERVERS

    def prepare(self, station):
        capture(self._path(station), station)

    def _path(self, station):
        return os.path.join(self.stage.folder, f"{station}.jsonl")

    def once(self, way, call, station):
        return self.stage.program(way, call, *self.database.options(), "replay",
                                  self._path(station))


class Drain(Stored):
    """The service: it takes what the broker has for it, stores that, and ends."""

    name = "drain"
    ways = ["mqtt", *SERVERS]
    # How long after the call its answer came.
    timed = {("authorizations", "result_rank"), ("transaction_starts", "distance_us")}

    def __init__(self, stage):
        self.broker = stage.broker()
        self.log = stage.path("log")
        super().__init__(stage)

    def prepare(self, station):
        """The broker has a queue for the client."""
        shorten(self.log)
        client = mqtt.Client("drained", protocol=mqtt.MQTTv5)
        kept = Properties(PacketTypes.CONNECT)
        kept.SessionExpiryInterval = SESSION_S
        subscribed = []
        client.on_subscribe = lambda *_: subscribed.append(1)
        client.connect("127.0.0.1", self.broker.port, clean_start=False, properties=kept)
        client.loop_start()
        client.subscribe("cs/#", 1)
        rig.wait_until(lambda: subscribed, what="the subscription")
        client.disconnect()
        client.loop_stop()
        self.publish(messages(station))

    def publish(self, some):
        publisher = conftest.Publisher(self.broker.port)
        for topic, payload in some:
            publisher.raw(topic, payload)
        publisher.close()

    def options(self):
        """Where the broker and the database are."""
        return [*self.database.options(), f"--mqtt.url={self.broker.url}"]

    def once(self, way, call, station):
        return self.stage.program(
            way, call, *self.options(), "--mqtt.client_id=drained", "--mqtt.topics=cs/#",
            f"--spool.dir={self.log}", "--spool.segment_bytes=4MiB", "--http.listen=",
            "run", "--drain")

    def end(self):
        done = self.stage.program("none", 0, *self.database.options(),
                                  f"--spool.dir={self.log}", "verify")
        return [] if done.exit == 0 else [f"verify: {done.out} {done.err}"]


def set_token(stage, way, call, uid):
    return stage.program(
        way, call, *stage.database().options(), "store", "token", "set", f"uid={uid}",
        "type=RFID", "country_code=GB", "party_id=TWK", "contract_id=C", "issuer=I",
        "valid=true", "cache_mode=ALWAYS"), uid


class Token:
    """A token is set and read back by the command."""

    name = "store"
    cost = 4
    ways = ["libpq", "cut", "memory", "EIO", "EINTR", "short"]

    def __init__(self, stage):
        self.stage, self.database, self.number = stage, stage.database(), 0
        self.wanted = self._rows(self._run("none", 0)[1])
        assert len(self.wanted) == 1

    def _rows(self, uid):
        return self.database.rows("SELECT type, issuer, valid FROM tokens WHERE uid = %s", uid)

    def _run(self, way, call, uid=None):
        self.number += 1
        return set_token(self.stage, way, call, uid or f"T{self.number:06}")

    def count(self, way):
        return self._run(way, 0)[0].calls

    def fail(self, way, call):
        ran, uid = self._run(way, call)
        found = [*ran.broken()]
        if ran.exit != 0:
            again, _ = self._run("none", 0, uid)
            if again.exit != 0:
                found.append(f"without a fault again: {again}")
        if self._rows(uid) != self.wanted:
            found.append(f"exit={ran.exit}, but there is {self._rows(uid)}")
        return ran, found + [f"left over: {what}" for what in self.database.leftovers()]

    def end(self):
        return []


ALL = [Replay, Token, Drain]
