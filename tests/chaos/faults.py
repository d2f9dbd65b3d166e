"""The faults of the kill loop, and the plan of a round.

A plan is a list of (when, fault, numbers), computed from the seed alone. when is a condition of the
load, not a time: ("acknowledged", n), n in thousandths of the load; or ("commit", n), n more
COMMITs than when the last fault was over. What a fault does besides (which backend, which table,
how many bytes) comes from its numbers.
"""

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
POWER_MESSAGES = 20  # that are to be lost, so that it is seen if one was acknowledged


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
        when = ("acknowledged", at) if rng.random() < 0.7 else ("commit", rng.randint(1, 20))
        steps.append((when, kind, [rng.random() for _ in range(4)]))
    return {"workers": rng.choice([1, 1, 2, 3]),
            "mqtt.version": rng.choice(["5", "5", "3.1.1"]),
            "storage.commit": rng.choice(["async", "sync"]),
            "batch.messages_max": rng.choice([20, 200, 5000]),
            "steps": steps}


def pick(items, number):
    items = list(items)
    return items[int(number * len(items))] if items else None


def seconds(number, most):
    """How long a fault lasts: that is what it is."""
    time.sleep(0.2 + number * most)


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

    def restart_broker(self, n):
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
        if n[3] < 0.5:  # what was under way never comes
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
        # Nothing may be under way that commits.
        door.swallowed.wait(5)

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
        with open(path, "wb", buffering=0) as f, contextlib.suppress(OSError):
            while f.write(bytes(1 << 16)):
                pass
        seconds(n[1], 3)
        if n[2] < 0.5:
            w.kill9()
            w.start()
        os.unlink(path)
        door.accept()
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
        tap = self.world.taps[self.world.workers.index(w)]
        come = len(tap.deliveries) + POWER_MESSAGES
        with contextlib.suppress(rig.TimedOut):  # at the end of the load nothing comes any more
            rig.wait_until(lambda: len(tap.deliveries) >= come, 1, lambda: len(tap.deliveries))
        w.kill9()
        for name in os.listdir(log):  # the folder itself may be a file system
            os.unlink(os.path.join(log, name))
        for name in os.listdir(kept):
            shutil.move(os.path.join(kept, name), os.path.join(log, name))
        os.rmdir(kept)
        os.unlink(hold)
        w.start()
        return None

    @staticmethod
    def _copy(log, kept):
        """Of a folder in which files come and go."""
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
          "restart_broker"]
_NET = ["cut_broker", "cut_database", "stall_broker", "stall_database", "delay",
        "cut_broker_after", "cut_database_after", "swallow_commit", "refuse_database",
        "refuse_broker"]
_SQL = ["terminate", "cancel", "lock_parent", "lock_leaf", "lock_state", "read_only", "rights"]
_DISK = ["fill_disk", "power", "power", "kill_worker", "restart_broker", "kill_postgres"]
_REPLAY = ["replay", "replay", "kill_worker", "terminate", "cut_database", "kill_backend"]

PROFILES = {"crash": _CRASH, "net": _NET, "sql": _SQL, "disk": _DISK, "replay": _REPLAY,
            "mix": sorted({*_CRASH, *_NET, *_SQL, *_DISK, *_REPLAY})}
