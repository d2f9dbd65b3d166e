"""The pool of the store's connections: under threads and restarts, at its limits, with TLS."""

import os
import subprocess
import time

import psycopg
import pytest
import rig
from conftest import BUILD, Database, next_line, run_cli

# STORE_STRESS_SECONDS=30 is the long run. By default it lasts only as long as it takes to see that
# each restart is survived.
SECONDS = float(os.environ.get("STORE_STRESS_SECONDS", "3"))


@pytest.fixture
def cluster(workspace, tmp_path):
    """One that the test may restart."""
    cluster = rig.Postgres(workspace, fast=True, name="restarted_" + tmp_path.name).start()
    yield Database(cluster, "postgres")
    cluster.stop()


def count(database):
    with psycopg.connect(database.dsn(), options="-c search_path=ocpp") as connection:
        return connection.execute("SELECT sum(date_part('epoch', last_updated)) FROM tokens "
                                  "WHERE uid LIKE 'stress-%'").fetchone()[0] or 0


def moves(database, what):
    """Waits until the threads store something new."""
    before = count(database)
    rig.wait_until(lambda: count(database) > before, 30, lambda: what)


def lasts(started, seconds):
    """Lets the load run until this many seconds after the start."""
    rig.wait_until(lambda: time.monotonic() - started >= seconds, seconds + 60,
                   lambda: f"{seconds} s of load")


@pytest.mark.parametrize("program", ["store_stress", "store_stress_tsan"])
def test_64_threads_on_8_connections_survive_restarts(cluster, program):
    """The second is built with ThreadSanitizer: a race makes it exit with 66. Nothing had to be
    suppressed for libpq and OpenSSL, which are not."""
    assert run_cli(cluster.settings(), "migrate", "up").returncode == 0
    url = cluster.dsn() + "&pool_max_conns=8&pool_min_conns=2"
    process = subprocess.Popen([os.path.join(BUILD, program), "64", "10000"],
                               env={**os.environ, "STORE_URL": url}, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        started = time.monotonic()
        moves(cluster, "first sets")
        for restart in range(1, 3):
            lasts(started, SECONDS * restart / 3)
            cluster.cluster.restart()
            moves(cluster, f"sets after restart {restart}")
        lasts(started, SECONDS)
        said = process.communicate("", timeout=rig.HANGS_S)[0]
    finally:
        process.kill()
        process.wait()
    print(said)
    assert process.returncode == 0, said


class Drive:
    """The store in a process: drive("lookup") -> (milliseconds, "ok" or the error)."""

    def __init__(self, url, deadline_ms=10000, replica=""):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "store_drive"), str(deadline_ms)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "STORE_URL": url, "STORE_REPLICA": replica})

    def __call__(self, what):
        print(what, file=self.process.stdin, flush=True)
        took, said = next_line(self.process, self.process.stdout).rstrip("\n").split(" ", 1)
        return int(took), said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(rig.HANGS_S) == 0
        self.process.stdout.close()


def test_replica_is_for_lists_and_not_missed_when_it_is_gone(migrated, proxy):
    primary, replica = (proxy(migrated.cluster.port) for _ in range(2))
    with Drive(migrated.dsn(primary.port) + "&pool_min_conns=0",
               replica=migrated.dsn(replica.port) + "&pool_min_conns=0") as drive:
        for what, used, unused in (("set", primary, replica), ("lookup", primary, replica),
                                   ("list", replica, primary)):
            before = used.bytes[rig.UP], unused.bytes[rig.UP]
            assert drive(what)[1] == "ok"
            assert used.bytes[rig.UP] > before[0], what
            assert unused.bytes[rig.UP] == before[1], what
        replica.stop()
        before = primary.bytes[rig.UP]
        took, said = drive("list")
        assert (said, took < 8000) == ("ok", True)
        assert primary.bytes[rig.UP] > before


def test_server_that_falls_silent_is_left_by_the_deadline(migrated, proxy):
    way = proxy(migrated.cluster.port)
    with Drive(migrated.dsn(way.port), deadline_ms=1500) as drive:
        assert drive("set")[1] == "ok"
        way.stall()
        took, said = drive("lookup")
        assert said == "PostgreSQL did not answer in time"
        assert 1400 <= took < 6000
        way.flow()
        assert drive("lookup")[1] == "ok"


def test_connection_that_is_cut_during_a_call_is_made_good(migrated, proxy):
    way = proxy(migrated.cluster.port)
    with Drive(migrated.dsn(way.port) + "&pool_min_conns=0&pool_max_conns=1") as drive:
        assert drive("set")[1] == "ok"
        for after in (1, 20, 100):
            for direction in (rig.UP, rig.DOWN):
                way.cut_after(after, direction)
                assert drive("set")[1] == "ok", (after, direction)
                assert drive("lookup")[1] == "ok", (after, direction)


def test_wrong_password_is_told_at_once(migrated):
    url = migrated.dsn().replace(migrated.cluster.password, "wrong")
    with Drive(url, deadline_ms=60000) as drive:
        took, said = drive("lookup")
        assert "password authentication failed" in said
        assert took < 20000


def test_server_that_is_not_there_is_told_at_the_deadline(migrated):
    with Drive(migrated.dsn(rig.free_port()), deadline_ms=400) as drive:
        took, said = drive("lookup")
        assert said.startswith("could not connect to PostgreSQL: ")
        assert "Connection refused" in said
        assert 390 <= took < 5000


# ---- TLS ----

@pytest.fixture(scope="module")
def authority(workspace):
    return rig.Certificates(workspace, name="tls_database")


@pytest.fixture(scope="module")
def with_tls(workspace, authority):
    """with_tls("localhost", days=30): a server with such a certificate."""
    made = []

    def start(name, days=30):
        certificate, key = authority.issue(name, days)
        os.chmod(key, 0o600)
        made.append(rig.Postgres(workspace, fast=True, name=f"tls{len(made)}", settings={
            "ssl": "on", "ssl_cert_file": f"'{certificate}'", "ssl_key_file": f"'{key}'"}))
        return made[-1].start()

    yield start
    for cluster in made:
        cluster.stop()


def verified(cluster, ca, mode="verify-full"):
    """The settings of a client that checks the certificate."""
    return {**cluster.settings(), "storage.postgres.host": "localhost",
            "storage.postgres.ssl_mode": mode, "storage.postgres.ssl_root_cert": ca}


def by_library(cluster, ca):
    url = cluster.dsn().replace("127.0.0.1", "localhost").replace(
        "sslmode=disable", f"sslmode=verify-full&sslrootcert={ca}")
    with Drive(url, deadline_ms=60000) as drive:
        took, said = drive("lookup")
        assert took < 30000
        return said


def test_right_certificate_is_accepted_and_a_wrong_host_is_named(with_tls, authority):
    right, wrong = with_tls("localhost"), with_tls("db.example")
    settings = verified(right, authority.ca)
    assert run_cli(settings, "migrate", "up").returncode == 0
    assert run_cli(settings, "store", "check").returncode == 0
    assert by_library(right, authority.ca) == "absent"
    done = run_cli(verified(wrong, authority.ca), "store", "check")
    assert done.returncode == 4
    assert 'for "db.example" does not match host name "localhost"' in done.stderr
    assert "storage.postgres.host (or storage.url) must have the name" in done.stderr
    assert 'does not match host name "localhost"' in by_library(wrong, authority.ca)
    assert run_cli(verified(wrong, authority.ca, "verify-ca"), "migrate", "version").returncode == 0


def test_expired_certificate_and_unknown_authority_are_told_apart(with_tls, authority, workspace):
    expired, right = with_tls("localhost", days=-1), with_tls("localhost", days=20)
    other = rig.Certificates(workspace, name="tls_other")
    for cluster, ca, says in (
            (expired, authority.ca, ["certificate has expired", 'of "CN = localhost"',
                                     "valid from"]),
            (right, other.ca, ["issuer certificate", 'issued by "CN = test authority"'])):
        done = run_cli(verified(cluster, ca), "store", "check")
        assert done.returncode == 4
        said = by_library(cluster, ca)
        for words in ["certificate of PostgreSQL at \"localhost\" is refused: ", *says]:
            assert words in done.stderr
            assert words in said
        assert f'see storage.postgres.ssl_root_cert ("{ca}")' in done.stderr
