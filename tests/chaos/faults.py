"""The faults of the kill loop, and the plan of a round.

A plan is a list of (when, fault, numbers), computed from the seed alone. when is a condition of the
load, not a time: ("acknowledged", n), n in thousandths of the load; or ("commit", n), n more
COMMITs than when the last fault was over. What a fault does besides (which backend, which table,
how many bytes) comes from its numbers.
"""

import bisect
import contextlib
import os
import random
import shutil
import signal
import time

import psycopg
import rig
from rig import DOWN, UP

PARENTS = ["meter_values", "ocpp_events", "transaction_events", "authorizations", "transactions"]
STATES = ["ingest_progress", "connector_status", "charge_station_status", "exchange_halves",
          "transaction_keys", "meter_value_layouts", "dead_letters"]
ROTATED_MESSAGES = 30  # in each segment, at least
LEAVES = """SELECT c.oid::regclass::text, i.inhparent::regclass::text,
        pg_get_expr(c.relpartbound, c.oid)
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE c.relkind = 'r' AND i.inhparent IN ('ocpp.meter_values'::regclass,
        'ocpp.ocpp_events'::regclass, 'ocpp.transaction_events'::regclass)
    ORDER BY 1"""
SEGMENT_HEADER_BYTES = 4096
NAMED = ["spool_damaged", "spool_records_lost", "spool_segment_set_aside"]
RESTORED_MESSAGES = 20  # that the older copy lacks
COPIED_MESSAGES = 100  # that the copy lacks, at most
UNSENT_MESSAGES = 40  # that have a record in the log and nothing else
POWER_MESSAGES = 20  # that are to be lost, so that it is seen if one was acknowledged


# A message that a clock further back receives would come from the future: its time is not believed.
CLOCK_BACK_S, CLOCK_AHEAD_S = 4 * 60, 5 * 3600
RELOADED = {"batch.messages_max": [1, 20, 5000], "batch.latency_target": ["0ms", "10ms", "100ms"],
            "storage.commit": ["async", "sync"], "spool.retain": ["0s", "1h"],
            "mqtt.receive_maximum": [5, 1000], "storage.postgres.timeout": ["4s", "5s"],
            "layouts.per_station_max": [1, 256]}


def plan(seed, number, profile, count, kinds=None):
    """workers, settings of the round, and its faults in order."""
    rng = random.Random(f"{seed} {number} {profile}")
    kinds = kinds or PROFILES[profile]
    # Each kind once before any comes twice.
    chosen = []
    while len(chosen) < count:
        chosen += rng.sample(kinds, min(len(kinds), count - len(chosen)))
    places = sorted(rng.randrange(20, 850) for _ in range(count))
    steps = []
    for at, kind in zip(places, chosen):
        when = ("acknowledged", at) if rng.random() < 0.7 or profile == "common" \
            else ("commit", rng.randint(1, 20))
        steps.append((when, kind, [rng.random() for _ in range(4)]))
    common = profile == "common"
    return {"workers": 1 if common else rng.choice([1, 1, 2, 3]),
            "mqtt.version": "5" if common else rng.choice(["5", "5", "3.1.1"]),
            "storage.commit": rng.choice(["async", "sync"]),
            "batch.messages_max": rng.choice([20, 200, 5000]),
            "steps": steps}


def _value(text):
    return int(text) if text.isdigit() else text


def settled(plan_of_round, settings):
    """The plan with settings ("workers=1", "spool.retain=0s") in place of what the seed chose."""
    for setting in settings:
        name, text = setting.split("=", 1)
        plan_of_round[name] = _value(text)
    return plan_of_round


def pick(items, number):
    items = list(items)
    return items[int(number * len(items))] if items else None


def seconds(number, most):
    """How long a fault lasts: that is what it is."""
    time.sleep(0.2 + number * most)


def _fill(path):
    """The file system of it."""
    with open(path, "wb", buffering=0) as f, contextlib.suppress(OSError):
        while f.write(bytes(1 << 16)):
            pass


class Faults:
    """Each method is a fault: it happens, lasts, and is over when the method returns. n: four
    numbers from 0 to 1. Returns "skipped" if it cannot be made here."""

    def __init__(self, world):
        self.world = world

    # ---- crash ----

    def kill_worker(self, n):
        w = pick(self.world.workers, n[0])
        w.kill9()
        seconds(n[1], 1)
        w.start()

    def end_worker(self, n):
        w = pick(self.world.workers, n[0])
        self.world.stop_worker(w)
        w.start()

    def stop_worker(self, n):
        w = pick(self.world.workers, n[0])
        w.process.send_signal(signal.SIGSTOP)
        seconds(n[1], 4)
        w.process.send_signal(signal.SIGCONT)

    def kill_backend(self, n):
        pid = pick(self.world.backends(), n[0])
        if pid is None:
            return "skipped"
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return None

    def stop_backend(self, n):
        pid = pick(self.world.backends(), n[0])
        if pid is None:
            return "skipped"
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        seconds(n[1], 8)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        return None

    def kill_checkpointer(self, _):
        found = self.world.rows("SELECT pid FROM pg_stat_activity"
                                " WHERE backend_type = 'checkpointer'")
        if not found:
            return "skipped"
        with contextlib.suppress(ProcessLookupError):
            os.kill(found[0][0], signal.SIGKILL)
        return None

    def kill_postgres(self, n):
        self.world.postgres.kill9()
        seconds(n[0], 2)
        self.world.postgres.start()

    def restart_postgres(self, n):
        self.world.postgres.stop()
        seconds(n[0], 2)
        self.world.postgres.start()

    def kill_broker(self, n):
        """It loses all sessions, and what they had: broker_lost."""
        self.world.broker_was_killed = True
        self.world.broker.kill9()
        seconds(n[0], 1)
        self.world.broker.start()

    def reload(self, n):
        """Three times, each time with other settings: limits, and what makes the worker connect to
        the broker or the database again."""
        w, rng = pick(self.world.workers, n[0]), random.Random(n[1])
        for _ in range(3):
            self.world.set(w, {name: rng.choice(values) for name, values in RELOADED.items()
                               if rng.random() < 0.5})
            said = len(w.events("reloaded"))
            w.process.send_signal(signal.SIGHUP)
            rig.wait_until(lambda: len(w.events("reloaded")) > said, 10,
                           lambda: rig.tail(w.log, 5))

    def step_clock(self, n):
        """The clock of a worker, forward or back; every other time it is put right again. Needs a
        build with failpoints."""
        w = pick(self.world.workers, n[0])
        if w not in self.world.clocks:
            return "skipped"
        self.world.set_clock(w, pick([-CLOCK_BACK_S, -1, 1, CLOCK_AHEAD_S], n[1]))
        seconds(n[2], 3)
        if n[3] < 0.5:
            self.world.set_clock(w, 0)
        return None

    def rotate(self, n):
        """The log begins new segments while the database is away."""
        number = int(n[0] * len(self.world.workers))
        w, tap = self.world.workers[number], self.world.taps[number]
        door = self.world.database_doors[number]
        door.refuse()
        for _ in range(int(2 + n[1] * 3)):
            w.process.send_signal(signal.SIGUSR1)
            self._more(tap, ROTATED_MESSAGES)
        door.accept()

    @staticmethod
    def _more(tap, messages):
        """Until so many more have been delivered; at the end of the load nothing comes any more."""
        come = len(tap.deliveries) + messages
        with contextlib.suppress(rig.TimedOut):
            rig.wait_until(lambda: len(tap.deliveries) >= come, 1, lambda: len(tap.deliveries))

    def restart_broker(self, n):
        """With several workers it forgets that they are subscribed: broker_lost."""
        self.world.broker_was_restarted = True
        self.world.broker.stop()
        seconds(n[0], 2)
        self.world.broker.start()

    # ---- net ----

    def cut_broker(self, n):
        pick(self.world.broker_doors, n[0]).cut()

    def cut_database(self, n):
        pick(self.world.database_doors, n[0]).cut()

    def _stall(self, door, n, most):
        door.stall(*pick([(UP,), (DOWN,), (UP, DOWN)], n[1]))
        seconds(n[2], most)
        if n[3] < 0.5:  # what was in flight never comes
            door.cut()
        door.flow()

    def stall_broker(self, n):
        self._stall(pick(self.world.broker_doors, n[0]), n, 4)

    def stall_database(self, n):
        self._stall(pick(self.world.database_doors, n[0]), n, 8)

    def delay(self, n):
        door = pick([*self.world.broker_doors, *self.world.database_doors], n[0])
        door.delay(0.01 + n[1] / 10)
        seconds(n[2], 3)
        door.delay(0)

    def cut_broker_after(self, n):
        pick(self.world.broker_doors, n[0]).cut_after(int(1 + n[1] * 20000), pick([UP, DOWN], n[2]))

    def cut_database_after(self, n):
        pick(self.world.database_doors, n[0]).cut_after(
            int(1 + n[1] * 20000), pick([UP, DOWN], n[2]))

    def swallow_commit(self, n):
        door = pick(self.world.database_doors, n[0])
        door.swallow_commit(arrives=n[1] < 0.7)
        # No commit may be in progress.
        door.swallowed.wait(5)

    def cut_prepare(self, n):
        """Cuts a connection that has prepared no statement yet, when it prepares one."""
        door = pick(self.world.database_doors, n[0])
        door.cut_prepare(1 + int(n[1] * n[1] * 4), arrives=n[2] < 0.5)
        door.cut()
        door.prepared.wait(5)  # at the end of the load nothing is prepared any more

    def refuse_database(self, n):
        door = pick(self.world.database_doors, n[0])
        door.refuse()
        seconds(n[1], 3)
        door.accept()

    def refuse_broker(self, n):
        door = pick(self.world.broker_doors, n[0])
        door.refuse()
        seconds(n[1], 3)
        door.accept()

    # ---- sql ----

    def _signal(self, function, n):
        for _ in range(int(2 + n[0] * 8)):
            self.world.rows(f"SELECT {function}(pid) FROM pg_stat_activity"
                            " WHERE usename = 'persister'")
            time.sleep(n[1] / 10)  # a burst has a rate

    def terminate(self, n):
        self._signal("pg_terminate_backend", n)

    def cancel(self, n):
        self._signal("pg_cancel_backend", n)

    def _lock(self, table, n):
        with contextlib.suppress(psycopg.Error):  # it may be ended itself
            with self.world.connect(autocommit=False) as c:
                c.execute("SET lock_timeout = '3s'")
                mode = pick(["ACCESS EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE"], n[1])
                c.execute(f'LOCK TABLE ocpp."{table}" IN {mode} MODE')
                seconds(n[2], 4)

    def lock_parent(self, n):
        self._lock(pick(PARENTS, n[0]), n)

    def lock_leaf(self, n):
        leaves = self.world.rows("SELECT c.relname FROM pg_inherits JOIN pg_class c ON c.oid ="
                                 " inhrelid WHERE c.relkind = 'r' AND c.relnamespace ="
                                 " 'ocpp'::regnamespace ORDER BY 1")
        self._lock(pick([row[0] for row in leaves], n[0]), n)

    def detach(self, n):
        """A partition, while its messages come; what became a dead letter is requeued later."""
        found = self.world.rows(LEAVES)
        name, parent, bounds = pick(found, n[0]) or (None, None, None)
        if name is None:
            return "skipped"
        self.world.partition_was_detached = True
        self.world.rows(f"ALTER TABLE {parent} DETACH PARTITION {name}")
        seconds(n[1], 2)
        self.world.rows(f"ALTER TABLE {parent} ATTACH PARTITION {name} {bounds}")
        return None

    def drop_partition(self, n):
        """One that is still empty; or one with rows, which is made again with the same rows, as by
        somebody who moves it to another disk."""
        found = self.world.rows("SELECT parent, name, from_time FROM ocpp.partition_list()"
                                " WHERE state = 'attached' ORDER BY 1, 3")
        parent, name, time_of = pick(found, n[0]) or (None, None, None)
        if name is None:
            return "skipped"
        with self.world.connect(autocommit=False) as c:
            c.execute(f"LOCK TABLE ocpp.{parent}")
            c.execute(f"CREATE TEMP TABLE kept AS TABLE ocpp.{name}")
            c.execute(f"DROP TABLE ocpp.{name}")
            if c.execute("SELECT EXISTS (SELECT FROM kept)").fetchone()[0]:
                c.execute("SELECT ocpp.ensure_partition(%s, %s)", (parent, time_of))
                c.execute(f"INSERT INTO ocpp.{name} TABLE kept")
        return None

    def lock_state(self, n):
        self._lock(pick(STATES, n[0]), n)

    def read_only(self, n):
        self.world.rows("ALTER SYSTEM SET default_transaction_read_only = on")
        self.world.rows("SELECT pg_reload_conf()")
        self.world.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE usename = 'persister'")
        seconds(n[0], 3)
        self.world.rows("ALTER SYSTEM RESET default_transaction_read_only")
        self.world.rows("SELECT pg_reload_conf()")

    def rights(self, n):
        table = pick([*PARENTS, *STATES], n[0])
        self.world.rows(f"REVOKE INSERT, UPDATE ON ocpp.{table} FROM ocpp_writer")
        seconds(n[1], 3)
        self.world.rows(f"GRANT INSERT, UPDATE ON ocpp.{table} TO ocpp_writer")

    # ---- disk ----

    def fill_disk(self, n):
        """With the database away, so that nothing can be let go."""
        w = pick(self.world.workers, n[0])
        disk = self.world.disks.get(w)
        if disk is None:
            return "skipped"
        door = self.world.database_doors[self.world.workers.index(w)]
        door.refuse()
        path = os.path.join(disk, "of-somebody-else")
        _fill(path)
        seconds(n[1], 3)
        if n[2] < 0.5:
            w.kill9()
            w.start()
        os.unlink(path)
        door.accept()
        return None

    def fill_database_disk(self, n):
        """What somebody else wrote to it is removed again after a while."""
        if self.world.database_disk is None:
            return "skipped"
        path = os.path.join(self.world.database_disk, "of-somebody-else")
        _fill(path)
        seconds(n[1], 4)
        if n[2] < 0.3:
            self.world.postgres.kill9()
            self.world.postgres.start()
        os.unlink(path)
        return None

    def power(self, n):
        """What was not synced is gone. Needs a build with failpoints."""
        w = pick(self.world.workers, n[0])
        hold = self.world.holds.get(w)
        if hold is None:
            return "skipped"
        log = w.settings["spool.dir"]
        kept = os.path.join(self.world.servers.workspace.path, "synced")
        open(hold, "w").close()
        self._copy(log, kept)
        self._more(self.world.taps[self.world.workers.index(w)], POWER_MESSAGES)
        w.kill9()
        self._put_back(kept, log)
        os.unlink(hold)
        w.start()
        return None

    def restore_log(self, n):
        """An older copy of the log in its place, once all that the newer one has is stored. The
        worker has to notice, and say what to do."""
        number = int(n[0] * len(self.world.workers))
        w, tap = self.world.workers[number], self.world.taps[number]
        broker = self.world.broker_doors[number]
        log = w.settings["spool.dir"]
        kept = os.path.join(self.world.servers.workspace.path, "older")
        self.world.stop_worker(w)
        self._copy(log, kept)
        had = tap.acknowledged
        w.start()
        self._more(tap, RESTORED_MESSAGES)
        self.world.let_all_be_stored(w, broker)
        self.world.stop_worker(w)
        if tap.acknowledged == had:  # it is the same log
            shutil.rmtree(kept)
            w.start()
            broker.accept()
            return "skipped"
        self._put_back(kept, log)
        if n[1] < 0.5:
            broker.accept()  # it takes messages into the copy before it knows
        w.start()
        self.world.expect_refusal(w, "spool new-identity")
        self.world.renew_log(w, tap)
        broker.accept()
        return None

    def damage(self, n):
        """A bit of the newest segment flips, or its end is cut off, while the worker is stopped and
        the database has all of it. Nothing may be lost, and it has to be said."""
        number = int(n[0] * len(self.world.workers))
        w, broker = self.world.workers[number], self.world.broker_doors[number]
        self.world.let_all_be_stored(w, broker)
        self.world.stop_worker(w)
        damaged = self._damage(self._newest(w), n)
        w.start()
        if damaged:
            self.world.damaged.add(w)
            self.world.expect_word(w, NAMED)
        broker.accept()
        return None if damaged else "skipped"

    def damage_unsent(self, n):
        """The same to records that are nowhere else. These are lost, but no others."""
        number = int(n[0] * len(self.world.workers))
        w, tap = self.world.workers[number], self.world.taps[number]
        door = self.world.database_doors[number]
        door.refuse()
        self._more(tap, UNSENT_MESSAGES)
        w.kill9()
        ruined = self._damage(self._newest(w), n)
        tap.ruin(ruined)
        w.start()
        if ruined:
            self.world.damaged.add(w)
        door.accept()
        return None if ruined else "skipped"

    def copy_log(self, n):
        """A second worker starts with a copy of a log that is in use, as after a disk was cloned.
        One of them has to find out. The copy gets no messages of its own."""
        w = pick(self.world.workers, n[0])
        kept = os.path.join(self.world.folder, "copy")
        self._copy(w.settings["spool.dir"], kept)
        self._more(self.world.taps[self.world.workers.index(w)], int(n[1] * COPIED_MESSAGES))
        self.world.run_copy(w, kept)
        shutil.rmtree(kept)

    @staticmethod
    def _newest(w):
        log = w.settings["spool.dir"]
        return os.path.join(log, max(x for x in os.listdir(log) if x.endswith(".seg")))

    @staticmethod
    def _damage(path, n):
        """What was in those records that are no longer as they were."""
        with open(path, "r+b") as f:
            data, ends = f.read(), [SEGMENT_HEADER_BYTES]
            generation = data[25:33]  # as each record of it has
            while data[ends[-1] + 12:ends[-1] + 20] == generation:
                at = ends[-1]
                ends.append(at + int.from_bytes(data[at + 7:at + 11], "big"))
            if len(ends) == 1:
                return b""
            at = ends[0] + int(n[1] * (ends[-1] - ends[0]))
            record = bisect.bisect_right(ends, at) - 1
            if n[2] < 0.4:
                f.truncate(at)
                return data[ends[record]:ends[-1]]
            f.seek(at)
            f.write(bytes([data[at] ^ 1 << int(n[3] * 8)]))
            return data[ends[record]:ends[record + 1]]

    @staticmethod
    def _put_back(kept, log):
        for name in os.listdir(log):  # the folder itself may be a file system
            os.unlink(os.path.join(log, name))
        for name in os.listdir(kept):
            shutil.move(os.path.join(kept, name), os.path.join(log, name))
        os.rmdir(kept)

    @staticmethod
    def _copy(log, kept):
        """Copies a folder in which files come and go."""
        while True:
            try:
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(log, kept)
                return
            except shutil.Error:
                pass

    # ---- replay ----

    def replay(self, n):
        """An export is replayed beside it, killed, and replayed to its end."""
        self.world.start_replay(kills=int(n[0] * 3), commits=[1 + int(x * 12) for x in n[1:]])


_CRASH = ["kill_worker", "kill_worker", "end_worker", "stop_worker", "kill_backend",
          "stop_backend", "kill_checkpointer", "kill_postgres", "restart_postgres",
          "restart_broker", "kill_broker", "reload", "rotate", "step_clock"]
_NET = ["cut_broker", "cut_database", "stall_broker", "stall_database", "delay",
        "cut_broker_after", "cut_database_after", "swallow_commit", "cut_prepare",
        "refuse_database", "refuse_broker"]
_SQL = ["terminate", "cancel", "lock_parent", "lock_leaf", "lock_state", "read_only", "rights",
        "detach", "drop_partition"]
_DISK = ["fill_disk", "fill_database_disk", "power", "power", "restore_log", "kill_worker",
         "restart_broker", "kill_postgres"]
_REPLAY = ["replay", "replay", "kill_worker", "terminate", "cut_database", "kill_backend"]

# What can happen to any consumer (peers.py): nothing that only our log, settings or tables have,
# and no broker that loses what it had queued.
_COMMON = ["kill_worker", "kill_worker", "end_worker", "stop_worker", "kill_backend",
           "stop_backend", "kill_checkpointer", "kill_postgres", "restart_postgres",
           "restart_broker", "cut_broker", "cut_database", "stall_broker", "stall_database",
           "delay", "cut_broker_after", "cut_database_after", "refuse_database", "refuse_broker",
           "terminate", "cancel"]

PROFILES = {"common": _COMMON, "crash": _CRASH, "net": _NET, "sql": _SQL,
            "disk": [*_DISK, "damage", "damage_unsent", "copy_log"], "replay": _REPLAY,
            "mix": sorted({*_CRASH, *_NET, *_SQL, *_DISK, *_REPLAY})}
