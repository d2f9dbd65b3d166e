#!/usr/bin/env python3
"""Does `verify` see it when acknowledged messages are lost on the way to the database? Undoes
each of the fixes that keep a position from standing for another record, in a copy of the source,
does with real servers what lost messages then, and expects `verify` without a ledger to say so.

    tests/mutations_log.py            all (some 5 minutes)
    tests/mutations_log.py NAME...    these

Each is tried twice: the fix alone undone, where the program may refuse to go on (the guard is what
keeps the messages then), and with the guard undone too, where they are lost and verify has to find
it. Prints a line per try; exits 0 only if all are caught, and the unbroken program loses nothing.
"""

import glob
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))
import rig  # noqa: E402

CURSOR = "consumer/spool/cursor.c"
RECOVER = "consumer/spool/spool_recover.c"
FILL = "consumer/daemon/pipeline_fill.c"
POSITION = "consumer/replay/position.c"
CLAIM = "consumer/copy/writer_claim.c"

COPY_GUARD = (CURSOR, "if (out->seq == at->seq ? position_differs(out, at) :"
              " cursor_is_elsewhere(out, at, here)) {",
              "if (false && cursor_is_elsewhere(out, at, here)) {")
ORDER_GUARD = (CLAIM, "if (!b->torn && b->follows == w->at.seq)", "if (true)")


class Scenario:
    """A broker, a database, a persister whose way to it can be closed, and who publishes."""

    def __init__(self, workspace, binary, number):
        self.workspace, self.binary = workspace, binary
        self.postgres = rig.Postgres(workspace, fast=True, name=f"postgres{number}").start()
        self.broker = rig.Broker(workspace, name=f"mosquitto{number}").start()
        self.door = rig.Proxy(workspace, self.postgres.port)
        self.folder = workspace.folder(f"files{number}")
        self.cli("migrate", "up")
        self.sent = 0
        self.p = self.persister()

    def persister(self, **settings):
        return rig.Persister(self.workspace, self.binary, {
            **self.postgres.settings(port=self.door.port), **self.broker.settings(),
            "spool.segment_bytes": "4MiB", "spool.retain": "0s", **settings})

    def cli(self, *arguments, p=None, check=True):
        settings = self.postgres.settings()
        if p is not None:
            settings["spool.dir"] = p.settings["spool.dir"]
        done = subprocess.run([self.binary, *[f"--{k}={v}" for k, v in settings.items()],
                               *map(str, arguments)], text=True, capture_output=True)
        if check and done.returncode != 0:
            sys.exit(f"{arguments}: {done.stdout}{done.stderr}")
        return done

    def rows(self):
        return int(self.postgres.psql("SELECT count(*) FROM ocpp.meter_values"))

    def message(self):
        """A meter value of its own time: one row."""
        self.sent += 1
        at = f"2026-01-31T{self.sent // 3600:02}:{self.sent // 60 % 60:02}:{self.sent % 60:02}Z"
        return json.dumps([2, str(self.sent), "MeterValues", {"connectorId": 1, "meterValue": [
            {"timestamp": at, "sampledValue": [{"value": str(self.sent)}]}]}])

    def publish(self, text):
        """Lines, each a message, with QoS 1; returns when the broker has acknowledged them."""
        subprocess.run(["mosquitto_pub", "-p", str(self.broker.port), "-q", "1", "-t",
                        "cs/in/ocpp1.6/cs001", "-l"], input=text, text=True, check=True)

    def send(self, count):
        self.publish("".join(self.message() + "\n" for _ in range(count)))

    def start(self, p=None):
        p = p or self.p
        p.start()
        p.wait_event("broker_connected", 120)
        return p

    def send_held(self, count, p=None):
        """While the way to the database is closed; returns when the log has them."""
        name, p = "ocpp_persister_backlog_records", p or self.p
        before = p.wait_metric(name, lambda v: True, 120)
        self.send(count)
        p.wait_metric(name, lambda v: v == before + count, 120)

    def settle(self, p=None):
        """Until all is claimed, or the program has given up."""
        p = p or self.p
        rig.wait_until(lambda: not p.running or p.metric("ocpp_persister_backlog_records") == 0,
                       120, lambda: rig.tail(p.log))
        refused = not p.running
        if not refused:
            p.stop()
        return refused, self.cli("verify", p=p, check=False)

    def stored(self, count):
        rig.wait_until(lambda: self.rows() >= count, 120,
                       lambda: f"{self.rows()} of {count}\n{rig.tail(self.p.log)}")

    def end(self):
        self.door.stop()
        self.postgres.stop()
        self.broker.stop()


def numbers_begin_again(s, remove=False):
    """An empty log (remove: one without segments), killed; 100 wait before the database is."""
    s.start()
    s.send(50)
    s.stored(50)
    s.p.stop()
    s.start()
    s.p.wait_event("database_connected", 120)
    rig.wait_until(lambda: s.cli("spool", "ls", p=s.p, check=False).stdout.splitlines()[-1]
                   .startswith("0 records in 1 files"), 120, "the log is empty")
    s.p.kill9()
    if remove:
        for path in glob.glob(os.path.join(s.p.settings["spool.dir"], "*.seg*")):
            os.unlink(path)
    s.door.refuse()
    s.start()
    s.send_held(100)
    s.door.accept()
    return s.settle()


def segments_removed(s):
    return numbers_begin_again(s, remove=True)


def copy_goes_its_own_way(s):
    s.start()
    s.send(10)
    s.stored(10)
    s.p.stop()
    snapshot = s.p.settings["spool.dir"] + ".snapshot"
    shutil.copytree(s.p.settings["spool.dir"], snapshot)
    s.start()
    s.send(20)
    s.stored(30)
    s.p.stop()
    s.door.refuse()
    copy = s.start(s.persister(**{"spool.dir": snapshot}))
    s.send_held(50, copy)
    s.door.accept()
    return s.settle(copy)


def record_does_not_fit(s):
    s.door.refuse()
    s.start()
    s.send_held(20)
    s.publish(CROWDED + "\n")
    s.p.wait_metric("ocpp_persister_backlog_records", lambda v: v == 21, 120)
    s.send_held(20)
    s.door.accept()
    return s.settle()


CROWDED = ('[2,"0","MeterValues",{"connectorId":1,"meterValue":['
           + ",".join(["{}"] * 255000) + "]}]")


def captured(payload, station="cs001"):
    return json.dumps({"topic": f"cs/in/ocpp1.6/{station}", "payload": payload,
                       "received_at": "2026-01-31T12:00:00Z"}) + "\n"


def replayed_record_does_not_fit(s):
    path = os.path.join(s.folder, "capture.jsonl")
    with open(path, "w") as f:
        for i in range(41):
            f.write(captured(CROWDED if i == 20 else s.message()))
    done = s.cli("replay", path, check=False)
    return done.returncode != 0, s.cli("verify", check=False)


def replay_goes_on_with_other_content(s):
    """Interrupted; then the same command, where the file holds something else, which begins with
    the same message."""
    path = os.path.join(s.folder, "capture.jsonl")
    first = captured(s.message())
    with open(path, "w") as f:
        f.write(first + "".join(captured(s.message()) for _ in range(20000)))
    settings = [f"--{k}={v}" for k, v in s.postgres.settings().items()]
    run = subprocess.Popen([s.binary, *settings, "replay", "--rate", "500", "--no-bulk", path],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rig.wait_until(lambda: s.rows() > 10, 120, "the replay to store something")
    run.terminate()
    if run.wait() == 0:
        sys.exit("the replay was over before it could be interrupted")
    rig.wait_until(lambda: s.postgres.psql(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        " AND pid <> pg_backend_pid()") == "0\n", 120, "the end of its connections")
    before = s.rows()
    with open(path, "w") as f:
        f.write(first + "".join(captured(s.message()) for _ in range(20000)))
    s.sent = before + 20000
    done = s.cli("replay", path, check=False)
    return done.returncode != 0, s.cli("verify", check=False)


def two_replays_at_once(s):
    """Both read standard input, which has no name, size or time: each has its own messages, and for
    a while both run."""
    settings = [f"--{k}={v}" for k, v in s.postgres.settings().items()]
    runs = []

    def stored(station):
        return int(s.postgres.psql("SELECT count(*) FROM ocpp.meter_values"
                                   f" WHERE charge_station_id = '{station}'"))

    for station in ("cs001", "cs002"):
        runs.append(subprocess.Popen(
            [s.binary, *settings, "replay", "--rate", "200", "--no-bulk", "-"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        # What has no room in the pipe waits until it is read.
        runs[-1].stdin.write("".join(captured(s.message(), station) for _ in range(3000)))
        runs[-1].stdin.close()
        if station == "cs001":
            rig.wait_until(lambda: stored("cs001") > 10, 120, "the first to store something")
    rig.wait_until(lambda: stored("cs002") > 0 or runs[1].poll() is not None, 120,
                   "the second to store something")
    if runs[0].poll() is not None:
        sys.exit("the first replay was over before the second began")
    before = -1
    while any(run.poll() is None for run in runs):
        try:  # as long as rows come
            rig.wait_until(lambda: s.rows() != before or all(r.poll() is not None for r in runs),
                           60, "a row, or the end")
        except rig.TimedOut:
            break
        before = s.rows()
    for run in runs:
        run.kill()  # one that does not end has lost the other's messages already
    return any(run.wait() != 0 for run in runs), s.cli("verify", check=False)


# name: (what is undone, its guard, what is done then)
MUTATIONS = {
    "numbering": (
        [(RECOVER, "found = s->segments_count > 0 || s->empty_found;",
          "found = s->segments_count > 0; if (!found) { s->end = (struct position){.seq = 0};"
          " s->next_seq = 0; s->identity_found = false; }")],
        [COPY_GUARD], numbers_begin_again),
    "segments": (
        [(RECOVER, "else if (!found && s->identity_found &&", "else if (false &&")],
        [COPY_GUARD], segments_removed),
    "copy": ([COPY_GUARD], [], copy_goes_its_own_way),
    "first batch": (
        [(FILL, "uint64_t before = p->filling->follows;",
          "uint64_t before = p->filling->follows == 0 ? seq - 1 : p->filling->follows;")],
        [ORDER_GUARD], record_does_not_fit),
    "first batch of a replay": (
        [(FILL, "uint64_t before = p->filling->follows;",
          "uint64_t before = p->filling->follows == 0 ? seq - 1 : p->filling->follows;")],
        [ORDER_GUARD], replayed_record_does_not_fit),
    "replay": ([(POSITION, "if (strcmp(content, c->content) == 0)", "if (true)")], [],
               replay_goes_on_with_other_content),
    "two replays": (
        [(POSITION, "if (!uuid_new(identity)) {",
          "memset(identity, 7, sizeof(*identity)); if (false) {")],
        [(POSITION, """"', decode($2, 'hex'), decode($3, 'hex'), $4)",""",
          """"', decode($2, 'hex'), decode($3, 'hex'), $4) ON CONFLICT (spool) DO NOTHING",""")],
        two_replays_at_once),
}


def build(root, first=False):
    if first:
        subprocess.run(["cmake", "--preset", "dev"], cwd=root, check=True,
                       stdout=subprocess.DEVNULL)
    done = subprocess.run(["cmake", "--build", "build/dev", "--target", "ocpp-persister"],
                          cwd=root, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(done.stdout)
    return str(root / "build/dev/ocpp-persister")


class Broken:
    """The copy, with edits while it is used."""

    def __init__(self, root, edits):
        self.root, self.edits, self.texts = root, edits, {}

    def __enter__(self):
        for name, good, broken in self.edits:
            path = self.root / name
            text = path.read_text()
            self.texts.setdefault(path, text)
            if text.count(good) != 1:
                sys.exit(f"what is to be broken is not in {name} once: {good}")
            path.write_text(text.replace(good, broken))
        return build(self.root)

    def __exit__(self, *_):
        for path, text in self.texts.items():
            path.write_text(text)


def copy_source(root):
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True,
                           stdout=subprocess.PIPE, text=True).stdout.split("\0")
    for name in filter(None, files):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, root / name)


_count = iter(range(1000))


def attempt(binary, scenario):
    """(refused, verify's exit code, what it said)"""
    with rig.Workspace() as workspace:
        s = Scenario(workspace, binary, next(_count))
        refused, done = scenario(s)
        missing = s.sent - s.rows()
        s.end()
    return refused, done, missing


def main():
    survivors = []
    with tempfile.TemporaryDirectory(prefix="ocpp-mutations.") as folder:
        root = pathlib.Path(folder, "source")
        copy_source(root)
        binary = build(root, first=True)
        chosen = sys.argv[1:] or list(MUTATIONS)
        for scenario in dict.fromkeys(MUTATIONS[name][2] for name in chosen):
            refused, done, missing = attempt(binary, scenario)
            print(f"unbroken, {scenario.__name__}: refused {refused}, verify {done.returncode}, "
                  f"not in the database {missing}", flush=True)
            if scenario is copy_goes_its_own_way:
                right = refused and done.returncode == 1  # the copy has to be refused
            else:
                right = not refused and done.returncode == 0 and missing == 0
            if not right:
                sys.exit(done.stdout + done.stderr)
        for name in chosen:
            edits, guards, scenario = MUTATIONS[name]
            for undone in ([edits, edits + guards] if guards else [edits]):
                with Broken(root, undone) as binary:
                    refused, done, missing = attempt(binary, scenario)
                said = [line for line in done.stdout.splitlines() if "NOT BALANCED" in line]
                seen = done.returncode == 1 and bool(said)
                guarded = len(undone) == len(edits) and bool(guards)
                caught = seen or (guarded and refused)
                print(f"{name}{', guard undone' if not guarded and guards else ''}: "
                      f"{missing} not in the database; "
                      f"{'verify: ' + said[0] if seen else ''}"
                      f"{' (the program refused to go on)' if refused else ''}"
                      f"{'' if caught else 'NOT CAUGHT'}", flush=True)
                survivors += [] if caught else [name]
    print(f"{len(survivors)} not caught" if survivors else "all caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
