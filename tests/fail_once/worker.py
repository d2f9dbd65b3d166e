"""A running worker: it reads its settings again, and it connects by TLS."""

import os
import signal

import rig
import servers


class Tls(servers.Drain):
    """As `drain`, with TLS to the broker and to PostgreSQL, and lists of what is revoked."""

    name = "tls"
    few = []
    cost = 8

    def __init__(self, stage):
        self.tls = stage.cluster().tls
        self.crl = self.tls.crl()
        super().__init__(stage)

    def options(self):
        made = self.database.settings
        return [f"--storage.url=host=127.0.0.1 port={made['storage.postgres.port']}"
                f" dbname={self.database.name} user={made['storage.postgres.user']}"
                f" password={made['storage.postgres.password']} sslmode=verify-full"
                f" sslrootcert={self.tls.ca} sslcrl={self.crl}",
                f"--mqtt.url={self.broker.tls_url}", f"--mqtt.tls_ca={self.tls.ca}",
                f"--mqtt.tls_crl={self.crl}"]


class Revoked:
    """A broker whose certificate is revoked, and a PostgreSQL as well: whatever fails, neither is
    accepted."""

    name = "revoked"
    cost = 8
    ways = ["memory", "EIO", "libpq", "mqtt"]
    few = ["memory", "EIO"]

    def __init__(self, stage):
        self.stage, self.tls = stage, stage.cluster().tls
        self.broker, self.database = stage.broker(), stage.database()
        self.crl = self.tls.crl(self.broker.certificate, stage.cluster().certificate)

    def _run(self, way, call):
        made = self.database.settings
        return self.stage.program(
            way, call, "--mqtt.topics=cs/#",
            f"--storage.url=host=127.0.0.1 port={made['storage.postgres.port']}"
            f" dbname={self.database.name} user={made['storage.postgres.user']}"
            f" password={made['storage.postgres.password']} sslmode=verify-full"
            f" sslrootcert={self.tls.ca} sslcrl={self.crl}",
            f"--mqtt.url={self.broker.tls_url}", f"--mqtt.tls_ca={self.tls.ca}",
            f"--mqtt.tls_crl={self.crl}", f"--spool.dir={self.stage.path('log')}",
            "config", "check", "--connect")

    def count(self, way):
        ran = self._run(way, 0)
        assert ran.exit != 0 and ran.out.count("revoked") + ran.err.count("revoked") >= 2, ran
        return ran.calls

    def fail(self, way, call):
        ran = self._run(way, call)
        found = [what for what in ran.broken() if "nothing says why" not in what]
        if not ran.out + ran.err:
            found.append("nothing says why")  # this command does so on stdout
        if ran.exit == 0:
            found.append(f"what is revoked is accepted: {ran.out} {ran.err}")
        return ran, found

    def end(self):
        return []


class Reload(servers.Drain):
    """A running worker gets SIGHUP, with new settings for the log, the broker and the database, and
    a call fails while it takes them. It takes them, or keeps those before, or ends with an error;
    and all is stored, by it or by the next."""

    name = "reload"
    cost = 8

    def __init__(self, stage):
        self.path = stage.path("settings")
        super().__init__(stage)

    def prepare(self, station):
        super().prepare(station)
        self.later = servers.messages(station)

    def _write(self, which):
        made, password = self.database.settings, f"{self.path}.password"
        sections = {
            "mqtt": {"url": self.broker.url, "client_id": "drained", "topics": "cs/#",
                     "keep_alive": f"{20 + which}s"},
            "storage.postgres": {
                "host": "127.0.0.1", "port": made["storage.postgres.port"],
                "database": self.database.name, "user": made["storage.postgres.user"],
                "password_file": password, "ssl_mode": "disable", "timeout": f"{30 + which}s"},
            "spool": {"dir": self.log, "segment_bytes": "4MiB", "retain": f"{1 + which}h"},
            "http": {"listen": ""}}
        for path, text in [(password, made["storage.postgres.password"]), (self.path, "".join(
                f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in section.items())
                for name, section in sections.items()))]:
            with open(path, "w", opener=lambda p, m: os.open(p, m, 0o600)) as f:
                f.write(text)

    @staticmethod
    def _until(pid, err, word, count=1, or_word="no such word"):
        """It has said this so often, or the other one, or is gone. True if it was the first."""
        def said():
            with open(err, encoding="utf-8", errors="replace") as f:
                text = f.read()
            return ["yes"] if text.count(word) >= count else \
                ["no"] if or_word in text or not rig.is_running(pid) else None

        return rig.wait_until(said, what=lambda: rig.tail(err)) == ["yes"]

    def once(self, way, call, station):
        if way == "none":  # after one that has failed: what is left is stored
            return super().once(way, call, station)
        self._write(0)
        pid, err = self.stage.begin(way, call, "ocpp-persister", "--config", self.path, "run")
        self._until(pid, err, "event=broker_connected")
        self._until(pid, err, "event=database_connected")
        self._write(1)
        self.stage.count()
        os.kill(pid, signal.SIGHUP)
        if self._until(pid, err, "event=reloaded", or_word="event=reload_failed"):
            self._until(pid, err, "event=broker_connected", 2)
            self._until(pid, err, "event=database_connected", 2)
        self.publish(self.later)
        # What it does after SIGTERM is part of it.
        if rig.is_running(pid):
            os.kill(pid, signal.SIGTERM)
        ran = self.stage.run(way, call)
        self.next = super().once("none", 0, station)
        return ran

    def fail(self, way, call):
        ran, found = super().fail(way, call)
        if self.next.exit != 0:
            found.append(f"the next one: {self.next} after {ran.err[-1000:]}")
        return ran, found

    def _settled(self, said, again=False):
        """How often a dead letter came depends on when the worker has ended."""
        return super()._settled(said, True)


ALL = [Tls, Revoked, Reload]
