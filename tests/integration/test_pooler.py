"""PgBouncer between the persister and PostgreSQL."""

import os

import psycopg
import pytest
import rig
from conftest import run_cli, stored

PGBOUNCER = "/usr/sbin/pgbouncer"
pytestmark = pytest.mark.skipif(not os.path.exists(PGBOUNCER),
                                reason="pgbouncer is not installed (deploy/install-deps test)")


class PgBouncer(rig._Server):
    def __init__(self, workspace, cluster, pool_mode, name, **settings):
        super().__init__(workspace, name)
        self.port, self.cluster = rig.free_port(), cluster
        users = workspace.write(os.path.join(self.folder, "users"),
                                f'"postgres" "{cluster.password}"\n"persister" "secret"\n')
        settings = {"listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": "",
                    "auth_type": "scram-sha-256", "auth_file": users, "pool_mode": pool_mode,
                    "max_client_conn": 100, **settings}
        self.config = workspace.write(
            os.path.join(self.folder, "pgbouncer.ini"),
            f"[databases]\n* = host=127.0.0.1 port={cluster.port}\n[pgbouncer]\n"
            + "".join(f"{key} = {value}\n" for key, value in settings.items()))

    def start(self):
        self.process = self.workspace.spawn([PGBOUNCER, self.config], self.log)
        return self._wait_ready(lambda: rig.accepts(self.port))


@pytest.fixture
def bouncer(workspace, postgres):
    """bouncer("session"): a PgBouncer before the test's cluster."""
    made = []

    def start(pool_mode, **settings):
        name = f"pgbouncer{rig.free_port()}"
        made.append(PgBouncer(workspace, postgres, pool_mode, name, **settings).start())
        return made[-1]

    yield start
    for b in made:
        b.stop()


@pytest.mark.parametrize("mode, settings", [
    ("transaction", {}), ("transaction", {"default_pool_size": 1}),
    ("transaction", {"server_round_robin": 1}), ("statement", {})])
def test_pooling_of_transactions_is_refused(persister, migrated, broker, bouncer, mode, settings):
    through = bouncer(mode, **settings)
    p = persister({**migrated.writer_settings(through.port), **broker.settings()}).start()
    assert p.wait_exit(120) == 4
    said = p.events("stopping")[0]
    assert said["reason"] == "database_pooling"
    assert "transaction pooling cannot be used" in said["msg"]
    assert "session pooling or a direct connection" in said["msg"] + said["hint"]


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_pooler_without_room_for_a_second_connection_is_not_trusted(
        persister, migrated, broker, publish, bouncer, mode):
    """Whether it pools transactions shows only beside another client. Until there is room for that
    one, nothing is stored, and no process is ended, which would be somebody else's."""
    through = bouncer(mode, max_client_conn=2)
    with psycopg.connect(migrated.dsn(through.port), autocommit=True) as other:
        p = persister({**migrated.writer_settings(through.port), **broker.settings()}).start()
        lost = p.wait_event("database_lost", heals="by_a_person", timeout=120)
        assert "second connection" in lost["msg"] and "max_client_conn" in lost["hint"]
        assert p.events("database_connected") == []
        done = run_cli(migrated.settings(through.port), "verify")
        assert done.returncode == 4, done
        assert other.execute("SELECT 1").fetchone() == (1,)  # nobody has ended it
    if mode == "transaction":
        assert p.wait_exit(120) == 4
        assert p.events("stopping")[0]["reason"] == "database_pooling"
        return
    p.wait_event("database_connected", timeout=120)
    publish.call("cs1", "Heartbeat", {})
    stored(migrated, 1, timeout=120)


def left_behind(database, through, processes):
    """Settings that a client of the pooler finds in all of the server's sessions."""
    clients = [psycopg.connect(database.cluster.dsn(database.name, "persister", "secret",
                                                    through.port)) for _ in range(processes)]
    found = {}
    for client in clients:  # each in a transaction, so each in another session
        pid, = client.execute("SELECT pg_backend_pid()").fetchone()
        # The pooler itself sets what libpq reports.
        found[pid] = client.execute(
            "SELECT name, setting FROM pg_settings WHERE source = 'session' AND name NOT IN"
            " ('client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings',"
            " 'application_name', 'IntervalStyle')").fetchall()
    for client in clients:
        client.close()
    assert len(found) == processes
    return [settings for settings in found.values() if settings]


def test_nothing_is_left_in_sessions_of_others(persister, migrated, broker, bouncer, tmp_path):
    """Which a setting would be: it stays with the session of the server, not with us."""
    settings = migrated.writer_settings()
    through = bouncer("transaction", default_pool_size=3)
    ours = {**settings, **migrated.writer_settings(through.port)}
    p = persister({**ours, **broker.settings()}).start()
    assert p.wait_exit(120) == 4
    capture = tmp_path / "capture"
    capture.write_text('{"tst":"2026-01-31T10:00:00Z","topic":"cs/in/ocpp1.6/cs1","qos":1,'
                       '"payload":"{}"}\n')
    for command in (("migrate", "status"), ("verify",), ("dead-letters", "list"),
                    ("replay", str(capture))):
        done = run_cli(ours, *command)
        assert done.returncode == 4 and "transaction pooling" in done.stderr, done
    assert left_behind(migrated, through, 3) == []


class Cutter:
    """Ends connections when they ask which process serves them, or at the answer. Where several
    clients ask for a connection, one of three gets through."""

    QUESTION = b"SELECT pg_backend_pid()"

    def __init__(self, when, count, several):
        self.when, self.left, self.several, self.seen = when, count, several, 0

    def __call__(self):
        return self.Link(self)

    class Link:
        def __init__(self, cutter):
            self.cutter, self.asked = cutter, False

        def feed(self, direction, data):
            if direction == "up":
                self.asked = Cutter.QUESTION in data
            if not self.asked or direction != self.cutter.when:
                return
            self.asked = False
            self.cutter.seen += 1
            if self.cutter.left > 0 and (self.cutter.seen % 3 or not self.cutter.several):
                self.cutter.left -= 1
                raise ConnectionError("cut")


@pytest.mark.parametrize("when", ["up", "down"])
@pytest.mark.parametrize("mode", [None, "session"])
def test_connection_that_is_cut_while_it_is_looked_at_is_no_pooler(
        persister, migrated, broker, publish, bouncer, proxy, mode, when):
    cutter = Cutter(when, 8, several=mode is not None)
    port = bouncer(mode).port if mode else migrated.cluster.port
    way = proxy(port, observe=cutter)
    p = persister({**migrated.writer_settings(way.port), **broker.settings()}).start()
    rig.wait_until(lambda: cutter.left == 0, what=lambda: rig.tail(p.log))
    p.wait_event("database_connected")
    publish.call("cs1", "Heartbeat", {})
    stored(migrated, 1)
    assert p.running and not p.events("stopping")
    assert "database_pooling" not in {line.get("reason") for line in p.lines()}
    assert {line["heals"] for line in p.events("database_lost")} == {"by_itself"}


class SecondCutter:
    """Ends each connection that is opened while another is open, count times: at its first byte, or
    when it asks which process serves it."""

    def __init__(self, at, count):
        self.at, self.left, self.open, self.cut = at, count, 0, 0

    def __call__(self):
        return self.Link(self)

    class Link:
        def __init__(self, cutter):
            self.cutter, self.number = cutter, cutter.open
            cutter.open += 1

        def feed(self, direction, data):
            cutter = self.cutter
            if cutter.left == 0 or self.number % 2 == 0 or direction != "up":
                return
            if cutter.at == "start" or Cutter.QUESTION in data:
                cutter.left -= 1
                raise ConnectionError("cut")


@pytest.mark.parametrize("at", ["start", "question"])
def test_second_connection_that_is_cut_needs_nobody(
        persister, migrated, broker, bouncer, proxy, at):
    """The network did that, not a pooler that has no room: it ends by itself, and it says so. Until
    the second connection was there nothing is trusted."""
    cutter = SecondCutter(at, 3)
    way = proxy(bouncer("transaction").port, observe=cutter)
    ours = migrated.writer_settings(way.port)
    p = persister({**ours, **broker.settings()}).start()
    assert p.wait_exit(120) == 4
    assert cutter.left == 0, p.log
    lost = p.events("database_lost")
    assert lost and {line["heals"] for line in lost} == {"by_itself"}, lost
    assert "max_client_conn" not in str(lost)
    assert p.events("stopping")[0]["reason"] == "database_pooling"
    cutter.left, cutter.open = 1, 0
    done = run_cli(ours, "verify")
    assert cutter.left == 0 and "max_client_conn" not in done.stderr, done
    assert "transaction pooling" not in done.stderr and done.returncode == 4, done


def test_commands_refuse_it_too(migrated, bouncer):
    through = bouncer("transaction")
    for command in (("migrate", "up"), ("migrate", "roles"), ("verify",), ("dead-letters", "list"),
                    ("forget", "TOKEN1"), ("partitions", "list"), ("sessions",),
                    ("broker", "end-session", "x")):
        done = run_cli(migrated.settings(through.port), *command)
        assert done.returncode == 4, done.stderr
        assert "transaction pooling cannot be used" in done.stderr


def test_commands_see_it_where_the_pooler_has_several_processes(migrated, bouncer):
    """Two clients that ask in turn are then not served by the same one."""
    through = bouncer("transaction", server_round_robin=1)
    clients = [psycopg.connect(migrated.dsn(through.port)) for _ in range(4)]
    pids = {c.execute("SELECT pg_backend_pid()").fetchone() for c in clients}
    assert len(pids) == 4
    for c in clients:
        c.rollback()
        c.close()
    done = run_cli(migrated.settings(through.port), "verify")
    assert done.returncode == 4, done
    assert "transaction pooling cannot be used" in done.stderr


@pytest.mark.parametrize("pool_size", [20, 1])
def test_pooling_of_sessions_is_as_good_as_none(persister, migrated, broker, publish, bouncer,
                                                pool_size):
    """Also where it has no process left for a second connection."""
    through = bouncer("session", default_pool_size=pool_size)
    p = persister({**migrated.writer_settings(through.port), **broker.settings()}).start()
    p.wait_event("broker_connected")
    p.wait_event("database_connected", timeout=120)
    for i in range(50):
        publish.call("cs1", "Authorize", {"idTag": f"T{i}"}, id=str(i))
        publish.result("cs1", "Authorize", {"idTagInfo": {"status": "Accepted"}}, id=str(i))
        publish.call("cs1", "Heartbeat", {}, id=f"h{i % 5}")
    stored(migrated, 150, timeout=120)
    assert p.running and not p.events("batch_failed")
