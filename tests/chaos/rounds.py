"""One round of the kill loop: a broker, a database and one to three workers, a load, the faults of
its plan, and the audit."""

import collections
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time

import broker_log
import conftest
import load
import psycopg
import rig
from auditor import Audit
from faults import Faults, plan, settled
from tap import Tap

DISK_MB = 48
DATABASE_MB = 160
REPLAYED = 1500
REFUSED = 6  # the exit code of what only a person can settle
LAST_FOR_EACH = 20  # worker: the broker deals them out in turn
BACKLOG = "ocpp_persister_backlog_records"
BROKER_UP = "ocpp_persister_broker_up"
RECEIVED = "SELECT coalesce(sum(received), 0)::bigint FROM ingest_progress"


class Servers:
    """What rounds share: a cluster that syncs, and a migrated database to copy."""

    def __init__(self, options):
        self.options = options
        self.workspace = rig.Workspace()
        self.postgres = rig.Postgres(self.workspace, settings={
            "restart_after_crash": "on", "checkpoint_timeout": "30s"}).start()
        self.numbers = itertools.count()
        self.template = conftest.make_database(self.postgres)
        done = conftest.run_cli(self.template.settings(), "migrate", "up")
        if done.returncode != 0:
            raise rig.RigError(done.stderr)
        self.failpoints = conftest.has_failpoints()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.workspace.close()


class Replay(threading.Thread):
    """Replays a capture, killed after some commits, and again until it completes."""

    def __init__(self, world, number, kills, commits):
        super().__init__(daemon=True)
        self.world, self.kills, self.commits = world, kills, commits
        self.path = os.path.join(world.folder, f"capture{number}.jsonl")
        self.made = load.publications(world.seed, REPLAYED, prefix=f"r{number}", live=False)
        load.capture(self.path, self.made)
        self.door = rig.Proxy(world.servers.workspace, world.postgres.port, postgres=True)
        self.done = None
        self.runs = 0

    def run(self):
        settings = {**self.world.database.writer_settings(self.door.port),
                    "storage.postgres.timeout": "5s",
                    "batch.messages_max": self.world.plan["batch.messages_max"]}
        log = os.path.join(self.world.folder, "replay.log")
        while not self.world.over:
            self.runs += 1
            with open(log, "ab") as out:
                process = subprocess.Popen(
                    [conftest.BINARY, *[f"--{k}={v}" for k, v in settings.items()], "replay",
                     self.path], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            kill_at = self.door.commits + self.commits[self.runs - 1] \
                if self.runs <= self.kills else None
            while process.poll() is None:
                if self.world.over or kill_at is not None and self.door.commits >= kill_at:
                    process.kill()
                time.sleep(0.01)
            if process.returncode == 0:
                self.done = True
                return
            time.sleep(0.2)  # as somebody who tries again would


class Ended(Exception):
    """The round has failed, and nothing more can be learned from it."""


class Round:
    """Also the world that faults act on."""

    def __init__(self, servers, number):
        options = servers.options
        self.servers, self.number = servers, number
        self.seed = options.seed * 10_000 + number
        self.profile = options.profile
        self.plan = settled(plan(options.seed, number, options.profile, options.faults,
                                 options.kinds), options.set)
        self.postgres, self.audit = servers.postgres, Audit()
        self.faults, self.notes, self.over = collections.Counter(), [], False
        self.ended = False  # before its time: there is no audit
        self.disks, self.holds, self.clocks, self.replays = {}, {}, {}, []
        self.mounted, self.database_disk, self.space = [], None, None
        self.changeable = {}  # settings of each worker's file
        self.totals, self.broker_lost = {}, 0
        self.broker_was_killed = self.broker_was_restarted = self.partition_was_detached = False
        self.damaged = set()  # workers whose log was
        self.fed_again = 0  # messages that a log had already fed, at most
        self.begun = time.monotonic()

    # ---- for faults ----

    def connect(self, autocommit=True):
        """As the superuser, also to a server that is read-only."""
        return psycopg.connect(self.database.dsn(), autocommit=autocommit,
                               options="-c default_transaction_read_only=off")

    def rows(self, sql):
        """Tried again while the server is coming back."""
        def ask():
            try:
                with self.connect() as c:
                    cursor = c.execute(sql)
                    return [cursor.fetchall() if cursor.description else None]
            except psycopg.OperationalError:
                return None

        return rig.wait_until(ask, what=sql)[0]

    def set(self, w, settings):
        """In the file that w reads when it starts, or at SIGHUP."""
        self.changeable[w] |= settings
        with open(w.environment["OCPP_PERSISTER_CONFIG"], "w", encoding="utf-8") as f:
            for key, value in self.changeable[w].items():
                section, name = key.rsplit(".", 1)
                f.write(f"[{section}]\n{name} = {value}\n")

    def set_clock(self, w, ahead_s):
        """Mapped by the worker, so it is written in its place."""
        if not os.path.exists(self.clocks[w]):
            open(self.clocks[w], "wb").close()
        with open(self.clocks[w], "r+b", buffering=0) as f:
            f.write(ahead_s.to_bytes(8, sys.byteorder, signed=True))

    def backends(self):
        return [pid for pid, in self.rows("SELECT pid FROM pg_stat_activity WHERE usename ="
                                          " 'persister' ORDER BY backend_start, pid")]

    def start_replay(self, kills, commits):
        self.replays.append(Replay(self, len(self.replays), kills, commits))
        self.replays[-1].start()

    def stop_worker(self, w):
        # Before it has a log, a signal just ends it.
        rig.wait_until(lambda: not w.running or w.events("log_opened")
                       or w.events("spool_disk_full"), what=lambda: rig.tail(w.log, 5))
        code = w.stop()
        if code:
            self.notes.append(f"exit {code}")
            self.audit.add("crashed" if code < 0 else "stuck", rig.tail(w.log, 5))

    def let_all_be_stored(self, w, broker):
        """Nothing comes from the broker until broker.accept()."""
        broker.refuse()
        self._wait_until(lambda: w.metric(BACKLOG) == 0,
                         lambda: f"{w.metric(BACKLOG)} wait\n{rig.tail(w.log, 6)}")

    def expect_word(self, w, events):
        """One of these has to be said at its start."""
        w.wait_event("log_opened")
        if not any(line.get("event") in events for line in w.lines()):
            self.audit.add("stuck", f"nothing of {events} was said:\n{rig.tail(w.log, 10)}")

    def expect_refusal(self, w, remedy):
        code = w.wait_exit()
        if code != REFUSED or not any(remedy in line.get("hint", "") for line in w.lines()):
            self.audit.add("crashed", f"exit code {code}, not {REFUSED} with the remedy:"
                                      f" {rig.tail(w.log, 10)}")

    def renew_log(self, w, tap):
        """Its log becomes one of its own; all that it has is fed again, and may count again."""
        self.fed_again += sum(d.count for d in list(tap.deliveries))
        done = conftest.run_cli(w.settings, "spool", "new-identity")
        if done.returncode != 0:
            self.audit.add("stuck", f"new-identity: {done.stdout}{done.stderr}")
        w.start()

    def run_copy(self, w, folder):
        """Until one of them has found out; that may be the copy, if w's connection was slow."""
        copy = rig.Persister(self.servers.workspace, conftest.BINARY, {
            **w.settings, "spool.dir": folder, "http.listen": "",
            "mqtt.url": f"mqtt://127.0.0.1:{rig.free_port()}"},
            name=f"copy{next(self.servers.numbers)}").start()
        rig.wait_until(lambda: not (w.running and copy.running), 60,
                       lambda: rig.tail(w.log, 6) + rig.tail(copy.log, 6))
        refused = copy if w.running else w
        if copy.running:
            copy.kill9()
        self.expect_refusal(refused, "spool new-identity")
        if refused is w:
            w.start()

    # ---- the round ----

    def run(self):
        self._start()
        try:
            self._load()
            self._faults()
            self._settle()
        except rig.TimedOut as e:
            self.audit.add("stuck", str(e)[-1500:])
        except Ended:
            pass
        finally:
            self.over = True
        try:
            if not self.ended:
                self._judge()
        finally:
            self._end()
        return self

    def _start(self):
        workspace, number = self.servers.workspace, next(self.servers.numbers)
        self.folder = workspace.folder(f"round{number}")
        self.database = conftest.make_database(self.postgres, template=self.servers.template.name)
        self.broker = rig.Broker(workspace, name=f"mosquitto{number}", settings=[
            "max_keepalive 60", *broker_log.SETTINGS]).start()
        self.taps, self.workers, self.broker_doors, self.database_doors = [], [], [], []
        kinds = {kind for _, kind, _ in self.plan["steps"]}
        if "fill_database_disk" in kinds:
            self._move_database(number)
        rng = random.Random(self.seed)
        for i in range(self.plan["workers"]):
            self.taps.append(Tap())
            self.broker_doors.append(rig.Proxy(workspace, self.broker.port,
                                               observe=self.taps[i].observe))
            self.database_doors.append(rig.Proxy(workspace, self.postgres.port, postgres=True))
            self.workers.append(self._worker(i, f"worker{number}_{i}", kinds, {
                "storage.postgres.timeout": "5s", "spool.retain": rng.choice(["0s", "1h"]),
                **({"dedupe.window": "1d"} if "step_clock" in kinds else {}),
                **{k: v for k, v in self.plan.items() if "." in k}}).start())
        self._wait_connected()

    def _wait_connected(self):
        for w in self.workers:
            w.wait_event("broker_connected")
            w.wait_event("database_connected")

    def _worker(self, i, name, kinds, changeable):
        """changeable: settings that it has from a file, so that a reload may change them."""
        settings = {
            **self.database.writer_settings(self.database_doors[i].port),
            **self.broker.settings(self.broker_doors[i].port),
            **({"mqtt.group": "chaos"} if self.plan["workers"] > 1 else {}),
            "mqtt.keep_alive": "5s", "mqtt.connect_timeout": "3s",
            "storage.postgres.connect_timeout": "3s", "mqtt.client_id": f"worker{i}",
            "spool.segment_bytes": "4MiB"}
        disk = self._disk(f"disk{i}", DISK_MB) if "fill_disk" in kinds else None
        if disk:
            settings["spool.dir"] = os.path.join(disk, "spool")
        w = rig.Persister(self.servers.workspace, conftest.BINARY, settings, name=name)
        if disk:
            self.disks[w] = disk
        self.changeable[w] = {}
        w.environment = {"OCPP_PERSISTER_CONFIG": os.path.join(self.folder, f"settings{i}.ini")}
        self.set(w, changeable)
        if self.servers.failpoints:
            self.holds[w] = os.path.join(self.folder, f"hold{i}")
            self.clocks[w] = os.path.join(self.folder, f"clock{i}")
            self.set_clock(w, 0)
            w.environment |= {"FAILPOINT_HOLD": self.holds[w], "CLOCK_STEPS": self.clocks[w]}
        return w

    def _disk(self, name, megabytes):
        """A small one of its own; None if nothing can be mounted here, which needs root."""
        path = os.path.join(self.folder, name)
        os.mkdir(path)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", path],
                              capture_output=True)
        if done.returncode == 0:
            self.mounted.append(path)
        return path if done.returncode == 0 else None

    def _move_database(self, number):
        """Its tables, to a small disk; the cluster's WAL and catalogs stay where they are."""
        self.database_disk = self._disk("database", DATABASE_MB)
        if self.database_disk is None:
            return
        place = os.path.join(self.database_disk, "tables")
        os.mkdir(place)
        owner = os.stat(self.postgres.data)
        os.chown(place, owner.st_uid, owner.st_gid)
        self.space = f"small{number}"
        self.rows_of_cluster(f"CREATE TABLESPACE {self.space} LOCATION '{place}'")
        self.rows_of_cluster(f"ALTER DATABASE {self.database.name} SET TABLESPACE {self.space}")

    def _load(self):
        options = self.servers.options
        plain = self.profile == "common"
        self.made = load.publications(self.seed, options.messages, plain=plain)
        self.ledger = os.path.join(self.folder, "ledger.jsonl")
        simulated = options.messages // 2
        self.fleet = subprocess.Popen(
            [conftest.STATIONS, "--broker", self.broker.url, "--ledger", self.ledger, "--quiet",
             "--seed", str(self.seed % 100_000), "--rate", str(options.rate // 2),
             "--messages", str(simulated), "--duplicates", "3", "--reorder", "20",
             "--shape", random.Random(self.seed).choice(["envelope", "frame", "batch"]),
             *(["--format", "json"] if plain else []), "--drain-seconds", "120"],
            stdout=subprocess.PIPE, text=True)
        self.publisher = load.Publisher(self.broker.port, self.made, options.rate)
        self.publisher.start()

    def acknowledged(self):
        return sum(tap.acknowledged for tap in self.taps)

    def commits(self):
        return sum(door.commits for door in self.database_doors)

    def _wait(self, when, commits):
        kind, number = when
        wanted = number * len(self.made) * 3 // 2000  # with what the simulator publishes

        def come():
            if self.publisher.acknowledged() == len(self.made):
                return True  # no more of the load to come
            return self.acknowledged() >= wanted if kind == "acknowledged" \
                else self.commits() >= commits + number

        self._wait_until(come, lambda: (self.acknowledged(), self.commits()))

    def _wait_until(self, condition, what):
        """Also ended by the limit of the round: what fails again and again moves all the time."""
        def look():
            self._supervise()
            if time.monotonic() - self.begun > self.servers.options.limit:
                raise rig.TimedOut(f"after {self.servers.options.limit} s: {what()}")
            return condition()

        rig.wait_until(look, self.servers.options.stuck, what)

    def _supervise(self):
        """Starts a worker that ended by itself, as systemd does. No fault is a reason to."""
        for w in self.workers:
            if w.process is not None and not w.running:
                code = w.process.returncode
                w._ended()
                self.notes.append(f"exit {code}")
                self.audit.add("crashed", rig.tail(w.log, 40))
                if self.servers.options.first:
                    self.ended = True
                    raise Ended
                w.start()

    def _faults(self):
        faults, commits = Faults(self), 0
        for when, kind, numbers in self.plan["steps"]:
            self._wait(when, commits)
            if self.servers.options.verbose:
                print(f"    {time.monotonic() - self.begun:6.1f} s: {kind} at "
                      f"{self.acknowledged()} acknowledged", flush=True)
            try:
                skipped = getattr(faults, kind)(numbers) == "skipped"
            except psycopg.Error as e:
                raise rig.TimedOut(f"{kind}: {e}") from e
            self.faults[kind + ("(skipped)" if skipped else "")] += 1
            commits = self.commits()

    def _settle(self):
        """Until all that was published is acknowledged, and all that the logs have is stored."""
        self._wait_until(self.publisher.is_done, self.publisher.acknowledged)
        out, _ = self.fleet.communicate(timeout=rig.HANGS_S)
        self.summary = json.loads(out)
        published = len(self.made) + self.summary["mqtt_messages"]

        def come():
            return self._nothing_is_queued() if self._broker_may_lose() \
                else self.acknowledged() >= published

        if self._broker_may_lose():
            self._publish_last()
        self._wait_until(
            lambda: come() and not any(t.pending() for t in self.taps) and self._all_is_stored(),
            lambda: (f"{self.acknowledged()} of {published} acknowledged, pending"
                     f" {[t.pending() for t in self.taps]}, {self._progress()}\n"
                     + "\n".join(rig.tail(w.log, 6) for w in self.workers)))
        if self.partition_was_detached:
            self._requeue()

    def _all_is_stored(self):
        return all(w.metric(BACKLOG) == 0 for w in self.workers) \
            and all(not r.is_alive() for r in self.replays)

    def _progress(self):
        return (f"backlog {[w.metric(BACKLOG) for w in self.workers]}, replays"
                f" {[r.done for r in self.replays]}, received {self.database.value(RECEIVED)}")

    def _broker_may_lose(self):
        return self.broker_was_killed or (self.broker_was_restarted and len(self.workers) > 1)

    def _publish_last(self):
        """The broker does not say what it has lost. But it keeps the order: once a worker has the
        last one, it has had all that the broker has for it."""
        self._wait_until(lambda: all(w.metric(BROKER_UP) == 1 for w in self.workers),
                         lambda: "\n".join(rig.tail(w.log, 6) for w in self.workers))
        payload = json.dumps([2, "last", "Heartbeat", {}])
        for number in range(LAST_FOR_EACH * len(self.workers)):
            self.publisher.client.publish(f"cs/in/ocpp1.6/last{number}", payload, 1)

    def _nothing_is_queued(self):
        return all(any("/last" in d.topic and d.acknowledged for d in t.deliveries[-1000:])
                   for t in self.taps)

    def _requeue(self):
        """As the hint of these dead letters says."""
        done = conftest.run_cli(
            {**self.database.settings(), "spool.dir": self.workers[0].settings["spool.dir"]},
            "dead-letters", "requeue", "--reason", "partition_detached")
        if done.returncode != 0:
            self.audit.add("stuck", f"requeue: {done.stdout}{done.stderr}")

    # ---- the verdict ----

    def _judge(self):
        audit = self.audit
        for w in self.workers:
            self.stop_worker(w)
        for r in self.replays:
            r.join()
        taken = collections.defaultdict(set)
        for tap in self.taps:
            for d in tap.taken():
                taken[d.topic].add(d.payload)
        required = [f for p in self.made if p.payload in taken[p.topic] for f in p.facts]
        replayed = [r for r in self.replays if r.done]
        required += [f for r in replayed for p in r.made for f in p.facts]
        published = [f for some in (self.made, *(r.made for r in self.replays))
                     for p in some for f in p.facts]
        audit.rows(self.database, published, required, "kr")
        audit.order(self.taps)
        self.totals = audit.totals(self.database, self.taps, self.fed_again)
        ruined = sum(d.ruined for tap in self.taps for d in tap.deliveries)
        for w in self.workers:
            audit.verify(self.database, w, ruined)
        audit.ledger(self.database, self.ledger, self.taps)
        audit.leftovers(self.postgres, self.database, self.workers, self.damaged)
        self._count_broker()

    def _count_broker(self):
        """What the broker had acknowledged and never handed over is its loss, and counted apart.
        Unless it was killed it has to account for it: messages that it says it had no subscriber
        for (broker_log.py). Anything else that is missing was lost by somebody, and is a fault."""
        taken = {(d.topic, d.payload) for tap in self.taps for d in tap.taken(also_ruined=True)}
        sent = zip(self.made, list(self.publisher.sent))
        lost = [(self.publisher.client_id, info.mid, p.topic) for p, info in sent
                if load.is_published(info) and (p.topic, p.payload) not in taken]
        self.broker_lost = len(lost)
        if self.broker_was_killed:
            return
        accounted = broker_log.dropped(self.broker.log) if len(self.workers) > 1 else set()
        for message in lost:
            if message not in accounted:
                self.audit.add("undelivered", f"{message}, of {len(lost)} lost by the broker")

    def _end(self):
        self.publisher.close()
        self.fleet.kill()
        self.fleet.wait()
        for w in self.workers:
            w.stop()
        for door in [*self.broker_doors, *self.database_doors, *(r.door for r in self.replays)]:
            door.stop()
        self.broker.stop()
        self.database.close()
        if self.right or not self.servers.options.keep:
            self.rows_of_cluster(f"DROP DATABASE {self.database.name} WITH (FORCE)")
            if self.space:
                self.rows_of_cluster(f"DROP TABLESPACE {self.space}")
            for path in self.mounted:
                subprocess.run(["umount", "--lazy", path], check=True)
            shutil.rmtree(self.folder, ignore_errors=True)

    def rows_of_cluster(self, sql):
        with psycopg.connect(self.postgres.dsn(), autocommit=True) as c:
            c.execute(sql)

    @property
    def right(self):
        return self.audit.right and not self.audit.counts["stuck"] \
            and not self.audit.counts["crashed"]

    def line(self):
        steps = " ".join(f"{place}:{number}:{kind}" for (place, number), kind, _
                         in self.plan["steps"]).replace("acknowledged", "a").replace("commit", "c")
        wrong = " ".join(f"{name}={count}" for name, count in sorted(self.audit.counts.items()))
        return (f"round {self.number} seed={self.servers.options.seed} workers={len(self.workers)}"
                f" plan=[{steps}] published={len(self.made)}+{self.summary_of('mqtt_messages')}"
                + "".join(f" {name}={count}" for name, count in self.totals.items())
                + f" delivered_again={sum(d.again for t in self.taps for d in t.deliveries)}"
                f" broker_lost={self.broker_lost} {' '.join(self.notes)}"
                f" {time.monotonic() - self.begun:.0f}s: {wrong or 'right'}")

    def summary_of(self, name):
        return getattr(self, "summary", {}).get(name, "?")

    def published(self):
        """MQTT messages."""
        return len(self.made) + getattr(self, "summary", {}).get("mqtt_messages", 0)
