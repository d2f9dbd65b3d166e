"""The scenarios in which calls fail, and what must hold after each. See run and README.md."""

import collections
import functools
import itertools
import json
import os
import shutil
import subprocess

import changes
import conftest
import rig
import servers
import worker

FILES = ["EIO", "ENOSPC", "EINTR", "short"]
SANITIZER = 99  # the exit code of what ASan, UBSan and LSan find
STILL_S = 20  # a process that has not moved for so long hangs
SERVER = os.path.join(conftest.BUILD, "fail_once")


PLACES = ["at", "by", "again_at", "again_by"]


def place(at):
    """Function, file and line of an address."""
    done = subprocess.run(["addr2line", "-fse", SERVER, hex(at - 1)], text=True,
                          capture_output=True)
    return " ".join(done.stdout.split()[:2])


class Ran(collections.namedtuple("Ran", "exit signal hangs calls name at by again_at"
                                 " again_by acknowledged released acted out err")):
    """What came of one process."""

    def where(self):
        """The call that failed, and who called."""
        if self.at == 0:
            return "none failed"
        return f"{self.name} in {place(self.at)} < {place(self.by)}"

    def broken(self):
        """What no process may do, whatever fails."""
        if self.hangs:
            yield "hangs"
        elif self.signal:
            yield f"ended by signal {self.signal}: {self.err[-300:]}"
        if self.exit == SANITIZER:
            yield f"sanitizer: {self.err[:2000]}"
        if self.again_at:
            yield ("a file whose sync had failed is synced again in"
                   f" {place(self.again_at)} < {place(self.again_by)}")
        if self.exit not in (0, SANITIZER) and not self.signal and not self.says():
            yield f"exit code {self.exit}, and nothing says why: {self.err!r}"

    def did_nothing(self):
        """It failed before it began anything that others could see: all is as it was."""
        return self.exit not in (0, -1) and not self.acted

    def says(self):
        """Does it say what is wrong?"""
        return any(word in self.err for word in ("error: ", "level=error", "broken: "))


class Stage:
    """What scenarios share: the process that forks them, and the servers once they are needed."""

    def __init__(self, keep=False):
        self.keep = keep
        self.workspace = rig.Workspace()
        self.folder = self.workspace.folder_in_memory("fail_once")
        self.numbers = itertools.count()
        suppressions = os.path.join(conftest.HERE, "paho.lsan")
        self.server = self.workspace.spawn(
            [SERVER], os.path.join(self.workspace.path, "fail_once.log"), as_us=True,
            cwd=self.folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None,
            env={**os.environ, "ASAN_OPTIONS": f"exitcode={SANITIZER}",
                 "UBSAN_OPTIONS": f"exitcode={SANITIZER}", "FAILPOINT_HASTE": "20",
                 "LSAN_OPTIONS": f"exitcode={SANITIZER}:suppressions={suppressions}"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait()
        self.workspace.forget(self.server)
        self.workspace.close()

    @functools.cache
    def cluster(self):
        return servers.Cluster(self.workspace)

    @functools.cache
    def database(self):
        """The one that most scenarios share."""
        return self.cluster().copy()

    @functools.cache
    def broker(self):
        return rig.Broker(self.workspace, tls=self.cluster().tls).start()

    def _ask(self, *words):
        self.server.stdin.write("\t".join(map(str, words)) + "\n")
        self.server.stdin.flush()
        return self.server.stdout.readline()

    def _line(self, way, call, words):
        out, err = (os.path.join(self.folder, name) for name in ("out", "err"))
        return out, err, [way, call, STILL_S, out, err, *words]

    def begin(self, way, call, *words):
        """A process whose calls count after count(): its number, and the path of its stderr."""
        _, err, line = self._line(way, call, words)
        with open(err, "wb"):
            pass  # so that nothing of the previous process is left in it
        return int(self._ask("begin", *line).split("=")[1]), err

    def count(self):
        self._ask("count")

    def run(self, way, call, *words):
        """A process in which that call fails. Without words: the one that has begun."""
        out, err, line = self._line(way, call, words)
        said = self._ask(*(line if words else ["end"]))
        answer = dict(word.split("=", 1) for word in said.split())
        number = {key: int(value, 16 if key in PLACES else 10) for key, value in answer.items()
                  if key != "name"}
        with open(out, errors="replace") as o, open(err, errors="replace") as e:
            return Ran(name=answer["name"], out=o.read(), err=e.read(), **number)

    def program(self, way, call, *words):
        return self.run(way, call, "ocpp-persister", *words)

    def path(self, name="f"):
        return os.path.join(self.folder, f"{name}{next(self.numbers)}")


class Log:
    """The life of a new log: life.h."""

    name = "log"
    cost = 1
    ways = [*FILES, "memory"]

    def __init__(self, stage):
        self.stage = stage
        self.begun, self.acknowledged, self.released = None, 0, 0

    def _live(self, folder, way, call):
        if self.begun:
            shutil.copytree(self.begun, folder)
        return self.stage.run(way, call, "live", folder, self.acknowledged, "close")

    def count(self, way):
        folder = self.stage.path("log")
        ran = self._live(folder, way, 0)
        shutil.rmtree(folder)
        assert ran.exit == 0, ran
        return ran.calls

    def fail(self, way, call):
        folder = self.stage.path("log")
        ran = self._live(folder, way, call)
        found = [*ran.broken()]
        if ran.exit not in (0, 1):
            found.append(f"exit code {ran.exit}: {ran.err}")
        if self.stage.keep:
            shutil.copytree(folder, f"{folder}.before")  # the audit continues the log
        audit = self.stage.run("none", 0, "audit", folder,
                               max(ran.acknowledged, self.acknowledged),
                               max(ran.released, self.released))
        if audit.exit != 0:
            found.append(f"afterwards: {audit.err} (acknowledged {ran.acknowledged}, {ran.err})")
        if found and self.stage.keep:
            return ran, [*found, f"kept: {folder}"]
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(f"{folder}.before", ignore_errors=True)
        return ran, found

    def end(self):
        return []


class LogClosed(Log):
    """The same, with a log that was closed."""

    name = "log_closed"
    before = "close"

    def __init__(self, stage):
        super().__init__(stage)
        self.begun = stage.path("begun")
        ran = stage.run("none", 0, "live", self.begun, 0, self.before)
        assert ran.exit == 0, ran
        self.acknowledged, self.released = ran.acknowledged, ran.released
        assert any(name.endswith(".seg.zst") for name in os.listdir(self.begun))


class LogKilled(LogClosed):
    """The same, with a log whose process was killed."""

    name = "log_killed"
    before = "crash"


class NewIdentity(LogClosed):
    """A copied log becomes a log of its own."""

    name = "new_identity"

    def _run(self, folder, way, call):
        return self.stage.program(way, call, f"--spool.dir={folder}", "spool", "new-identity")

    def _live(self, folder, way, call):
        shutil.copytree(self.begun, folder)
        return self._run(folder, way, call)

    def fail(self, way, call):
        folder = self.stage.path("log")
        ran = self._live(folder, way, call)
        found = [*ran.broken()]
        if ran.exit != 0:
            again = self._run(folder, "none", 0)
            if again.exit != 0:
                found.append(f"without a fault again: {again} after {ran.err}")
        if self._identity(folder) == self._identity(self.begun):
            found.append(f"exit={ran.exit}, and the identity is what it was")
        audit = self.stage.run("none", 0, "audit", folder, self.acknowledged, self.released)
        if audit.exit != 0:
            found.append(f"afterwards: {audit.err} ({ran.err})")
        shutil.rmtree(folder)
        return ran, found

    @staticmethod
    def _identity(folder):
        with open(os.path.join(folder, "identity"), "rb") as f:
            return f.read()


class Command:
    """A command that only reads: it prints either all that it prints without a fault, or what
    failed."""

    ways = ["EIO", "EINTR", "short", "memory"]
    cost = 1

    def __init__(self, stage):
        self.stage = stage
        self.words = self.prepare()
        self.untouched = stage.program("none", 0, *self.words)
        assert self.untouched.exit == 0, self.untouched

    def count(self, way):
        return self.stage.program(way, 0, *self.words).calls

    def fail(self, way, call):
        ran = self.stage.program(way, call, *self.words)
        found = [*ran.broken()]
        if ran.exit == 0 and ran.out != self.untouched.out:
            found.append(f"exit code 0, and it says something else: {ran.out[-300:]!r}"
                         f" {ran.err[-300:]!r}")
        return ran, found

    def end(self):
        return []


class Config(Command):
    """Settings from everywhere."""

    name = "config"

    def prepare(self):
        password, topics = self.stage.path("password"), self.stage.path("topics")
        with open(password, "w", opener=lambda p, m: os.open(p, m, 0o600)) as f:
            f.write("secret\n")
        path = self.stage.path("settings")
        with open(path, "w", opener=lambda p, m: os.open(p, m, 0o600)) as f:
            f.write(f"""[mqtt]
url = mqtt://127.0.0.1:1883
topics = cs/in/#, cs/out/#
password_file = {password}
[storage.postgres]
host = 127.0.0.1
user = persister
[spool]
dir = {topics}
[batch]
messages_max = 100
""")
        return ["--config", path, "config", "print"]


class Decode(Command):
    """A payload with messages of many kinds."""

    name = "decode"
    code = "json"

    def prepare(self):
        import load
        import msgpack
        maker = load.Maker(7)
        made = [m.envelope for _ in range(30) for m in maker.next() if m.version == "1.6"
                and m.direction == "in"]
        path = self.stage.path("payload")
        with open(path, "wb") as f:
            f.write(json.dumps(made).encode() if self.code == "json" else msgpack.packb(made))
        return ["decode", "--topic", "cs/in/ocpp1.6/k001", "--received", "2026-03-10T12:00:00Z",
                path]


class DecodeMsgpack(Decode):
    name = "decode_msgpack"
    code = "msgpack"


class SpoolCat(Command):
    """All records of a log, packed and not."""

    name = "spool_cat"
    command = "cat"

    def prepare(self):
        folder = self.stage.path("log")
        ran = self.stage.run("none", 0, "live", folder, 0, "close")
        assert ran.exit == 0, ran
        return [f"--spool.dir={folder}", "spool", self.command]


class SpoolVerify(SpoolCat):
    name = "spool_verify"
    command = "verify"


class Folder(Command):
    """What a replay of a folder would store."""

    name = "folder"

    def prepare(self):
        folder = self.stage.path("captures")
        os.mkdir(folder)
        for i in range(3):
            servers.capture(os.path.join(folder, f"{i}.jsonl"), f"station{i}")
        return ["replay", "--dry-run", folder]


class Reading(Command):
    """A command that reads from the database."""

    ways = ["libpq", "cut", "memory", "EIO", "EINTR"]
    cost = 2

    def prepare(self):
        database = self.stage.database()
        path = self.stage.path("capture")
        servers.capture(path, "stationread")
        ran = self.stage.program("none", 0, *database.options(), "replay", path)
        assert ran.exit == 0, ran
        return [*database.options(), *self.command]

    def fail(self, way, call):
        ran, found = super().fail(way, call)
        return ran, found + [f"left over: {what}" for what in self.stage.database().leftovers()]


class Sessions(Reading):
    name = "sessions"
    command = ["sessions", "--station", "stationread", "--json"]


class History(Reading):
    name = "history"
    command = ["history", "stationread", "--from", "2026-02-28", "--to", "2026-03-11"]


class DeadLetters(Reading):
    name = "dead_letters"
    command = ["dead-letters", "list"]


class StoreExport(Reading):
    """What may be the only copy."""

    name = "store_export"
    command = ["store", "export"]

    def prepare(self):
        words = super().prepare()
        for uid in ["EXPORT1", "EXPORT2"]:
            ran, _ = servers.set_token(self.stage, "none", 0, uid)
            assert ran.exit == 0, ran
        return words


class MigrateStatus(Reading):
    name = "migrate_status"
    command = ["migrate", "status"]


ALL = [Log, LogClosed, LogKilled, Config, Decode, DecodeMsgpack, SpoolCat, SpoolVerify, Folder,
       Sessions, History, DeadLetters, StoreExport, MigrateStatus, NewIdentity,
       *servers.ALL, *changes.ALL, *worker.ALL]
