"""Is everything that we acknowledged in exactly one place, once, unaltered? Is nothing left over?

Everything that the taps (tap.py) saw acknowledged must be there, with the facts of what was
published (load.py), and what a replay that ended well had read. A fact is (table, key,
content). Of an acknowledged message each fact must be one row with that content; of one that was
published and not acknowledged there may be one row; no other rows may be there.
"""

import collections
import json
import os
import re
import subprocess
import sys
import tempfile
from decimal import Decimal

import conftest
import psycopg
import rig
import stations_rig

# (station, ...) of all rows of ours: their keys and contents as load.py has them.
ROWS = {
    "ocpp_events": """SELECT charge_station_id, kind, message_id, action, payload
        FROM ocpp_events""",
    "meter_values": """SELECT charge_station_id,
            coalesce(CASE WHEN isfinite(event_time) THEN extract(epoch FROM event_time)::bigint
                END::text, time_text),
            ARRAY(SELECT coalesce(raw #>> ARRAY['text', n::text], value::text)
                FROM unnest(sampled) WITH ORDINALITY AS s (value, n) ORDER BY n)
        FROM meter_values""",
    "authorizations": "SELECT charge_station_id, message_id, id_token FROM authorizations",
    "transaction_events": """SELECT charge_station_id, transaction_id, seq_no, event_type,
            CASE WHEN isfinite(event_time) THEN extract(epoch FROM event_time)::bigint END
        FROM transaction_events""",
    "transactions": "SELECT charge_station_id, transaction_id FROM transactions",
    "dead_letters": "SELECT charge_station_id, payload, topic FROM dead_letters",
}


def _row(table, row):
    """(key, content) as load.py has them."""
    if table == "ocpp_events":
        station, kind, id, action, payload = row
        payload = payload or {}
        return (station, kind, id), payload if kind == "result" else (action, payload)
    if table == "meter_values":
        return (row[0], int(row[1]) if row[1].isdigit() else row[1]), tuple(row[2])
    if table == "transaction_events":
        return row[:3], row[3:]
    if table == "dead_letters":
        return row[1], row[2]
    return tuple(row[:2]), row[2] if len(row) > 2 else None


def _same_json(text):
    """However its members are ordered and its numbers written."""
    return json.dumps(json.loads(text, parse_int=Decimal, parse_float=Decimal), sort_keys=True,
                      default=lambda number: str(number.normalize() + 0))


class Audit:
    """The counts of one round, and up to ten examples of each kind of fault."""

    FAULTS = ["lost", "doubled", "altered", "invented", "disorder", "undelivered", "imbalance",
              "leftover"]

    def __init__(self):
        self.counts = collections.Counter()
        self.examples = []

    def add(self, fault, text, count=1):
        if self.counts[fault] < 10:
            self.examples.append(f"{fault}: {text}")
        self.counts[fault] += count

    @property
    def right(self):
        return not any(self.counts[fault] for fault in self.FAULTS)

    # ---- rows ----

    def rows(self, database, published, required, prefixes):
        """required, published: Facts that must, and may, be there."""
        expected = {(f.table, f.key): f.content for f in published}
        must = {(f.table, f.key) for f in required}
        found = collections.defaultdict(list)
        for table, sql in ROWS.items():
            for row in database.rows(sql):
                if row[0] and row[0][0] in prefixes:
                    key, content = _row(table, row)
                    found[table, key].append(content)
        for at in must - found.keys():
            self.add("lost", f"{at} {str(expected[at])[:200]}")
        for at, contents in found.items():
            # The answer of an Authorize is in the row of its call, and beside it.
            if at not in expected:
                if not self._is_answer(at):
                    self.add("invented", f"{at} {str(contents)[:200]}")
                continue
            if len(contents) > 1:
                self.add("doubled", f"{at} {len(contents)} rows")
            if any(content != expected[at] for content in contents):
                self.add("altered", f"{at} {str(contents)[:200]}, not {str(expected[at])[:200]}")

    @staticmethod
    def _is_answer(at):
        return at[0] == "ocpp_events" and at[1][1] == "result"

    def messages(self, stored, taps):
        """For a consumer that stores MQTT messages as they are. stored: its rows, (topic, payload).
        A message that was published twice may be there twice."""
        def counted(messages):
            return collections.Counter((topic, _same_json(payload)) for topic, payload in messages)

        delivered = counted((d.topic, d.payload) for tap in taps for d in tap.deliveries)
        taken = counted((d.topic, d.payload) for tap in taps for d in tap.taken())
        found = counted(stored)
        for at, count in (taken - found).items():
            self.add("lost", str(at)[:200], count)
        for at, count in (found - delivered).items():
            self.add("doubled" if at in delivered else "invented", str(at)[:200], count)
        return {"acknowledged": taken.total(), "stored": found.total()}

    # ---- counts ----

    def order(self, taps):
        for number, tap in enumerate(taps):
            for text in tap.out_of_order:
                self.add("disorder", f"worker {number}: {text}")

    def totals(self, database, taps, fed_again):
        """The database counts each acknowledged message once; one that the broker delivered again
        may count once more, as a duplicate, and so may what was fed again. A replay that is over
        has no row of its own any more."""
        for row in database.rows("SELECT spool, received, stored, duplicate, dead_lettered, skipped"
                                 " FROM ingest_progress"):
            if row[1] != sum(row[2:]):
                self.add("imbalance", f"spool, received, stored, duplicate, dead, skipped: {row}")
        received, stored, duplicate, dead = map(int, database.rows(
            "SELECT coalesce(sum(received), 0), coalesce(sum(stored), 0),"
            " coalesce(sum(duplicate), 0), coalesce(sum(dead_lettered), 0)"
            " FROM ingest_progress WHERE client_id LIKE 'worker%'")[0])
        taken = [d for tap in taps for d in tap.taken()]
        least = sum(d.count for d in taken)
        most = fed_again + sum(d.count * (1 + d.again) for tap in taps for d in tap.deliveries)
        if received < least:
            self.add("lost", f"{least} acknowledged, {received} received", least - received)
        if received > most:
            self.add("doubled", f"{most} delivered, {received} received", received - most)
        return {"acknowledged": least, "received": received, "stored": stored,
                "duplicate": duplicate, "dead": dead}

    def verify(self, database, worker, ruined):
        """It has to count records that were ruined before they were stored; not all of them, for
        nothing in the log says how many a cut-off end had."""
        done = conftest.run_cli({**database.settings(),
                                 "spool.dir": worker.settings["spool.dir"]}, "verify")
        lost = re.search(r"^records lost to gaps (\d+),", done.stdout, re.M)
        accounted = ruined and lost and 0 < int(lost[1]) <= ruined and "NOT" not in done.stdout
        if done.returncode != 0 and not accounted:
            self.add("imbalance", f"verify: {done.stdout}{done.stderr}")

    # ---- the simulator's ledger ----

    def ledger(self, database, path, taps):
        """With its own acknowledgements replaced by ours: what the broker lost is not ours."""
        taken = set()
        for tap in taps:
            for d in tap.taken():
                if d.topic.rsplit("/", 1)[1].startswith("cs"):
                    taken.update(stations_rig.identity(d.topic, e)
                                 for e in stations_rig.elements(d.payload))
        with open(path, encoding="utf-8") as f, \
                tempfile.NamedTemporaryFile("w", suffix=".jsonl") as ours:
            numbers = []
            for line in f:
                m = json.loads(line)
                if "a" not in m:
                    ours.write(line)
                if "m" in m and (m["topic"], m["kind"], str(m["id"])) in taken:
                    numbers.append(m["m"])
            ours.write(json.dumps({"a": numbers}) + "\n")
            ours.flush()
            done = subprocess.run(
                [sys.executable, "-B", conftest.LEDGER, ours.name, database.dsn()], text=True,
                capture_output=True)
        self.read_ledger(done)

    def read_ledger(self, done):
        said = done.stdout.splitlines()
        for line in said:
            if line.startswith("lost "):
                for part in line.split(", "):
                    fault, count = part.split()
                    fault = {"unexpected": "invented"}.get(fault, fault)
                    if int(count):
                        self.add(fault, "of the ledger: " + " / ".join(said[-8:]), int(count))
                return
        self.add("lost", f"the ledger cannot be compared: {done.stdout}{done.stderr}")

    # ---- what is left behind ----

    def leftovers(self, cluster, database, workers, damaged):
        """Once the workers have ended. Temporary tables go with their sessions; those of a server
        that crashed are for autovacuum. What was damaged is kept as .bad."""
        with psycopg.connect(cluster.dsn(database.name), autocommit=True) as c:
            self._sessions(c)
            for what, sql in {
                "loading tables": "SELECT count(*) FROM ocpp.loading_partitions",
                "prepared transactions": "SELECT count(*) FROM pg_prepared_xacts",
                "advisory locks": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
                "partitions half detached":
                    "SELECT count(*) FROM pg_inherits WHERE inhdetachpending",
                "invalid indexes": "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
                                   " AND indrelid::regclass::text LIKE 'ocpp.%'",
                "tables outside their parents": """SELECT count(*) FROM pg_class c
                    WHERE relnamespace = 'ocpp'::regnamespace AND relkind = 'r'
                    AND NOT relispartition AND relname ~ '_([0-9]{4}_[0-9]{2}|undated)'""",
            }.items():
                count = c.execute(sql).fetchone()[0]
                if count:
                    self.add("leftover", f"{count} {what}", count)
        for w in workers:
            for name in os.listdir(w.settings["spool.dir"]):
                # spare.tmp is the room that the next segment will take.
                if name.endswith(".tmp" if w in damaged else (".tmp", ".bad")) \
                        and name != "spare.tmp":
                    self.add("leftover", f"{name} in the log folder")
            if w.running:
                self.add("leftover", f"process {w.pid}")

    def _sessions(self, c):
        def others():
            return c.execute(
                "SELECT pid, state, query FROM pg_stat_activity WHERE datname ="
                " current_database() AND backend_type = 'client backend'"
                " AND pid <> pg_backend_pid()").fetchall()

        try:
            rig.wait_until(lambda: not others(), 20, "end of sessions")
        except rig.TimedOut:
            for session in others():
                self.add("leftover", f"session {session}")
