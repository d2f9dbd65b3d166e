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


def test_commands_refuse_it_too(migrated, bouncer):
    through = bouncer("transaction")
    for command in (("migrate", "up"), ("verify",), ("dead-letters", "list")):
        done = run_cli(migrated.settings(through.port), *command)
        assert done.returncode == 4, done.stderr
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
