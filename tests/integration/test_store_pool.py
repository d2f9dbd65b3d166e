"""The pool of the store's connections: under threads and restarts, at its limits, with TLS."""

import os
import subprocess
import time

import psycopg
import pytest
import rig
from conftest import BUILD, Database, run_cli

# The run is 30 s and two restarts: STORE_STRESS_SECONDS=30. Here as long as it takes to see
# each restart survived.
SECONDS = float(os.environ.get("STORE_STRESS_SECONDS", "3"))


@pytest.fixture
def cluster(workspace):
    """One that the test may restart."""
    cluster = rig.Postgres(workspace, fast=True, name="restarted").start()
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
    """Goes on under load until so long after the start."""
    rig.wait_until(lambda: time.monotonic() - started >= seconds, seconds + 60,
                   lambda: f"{seconds} s of load")


def test_64_threads_on_8_connections_survive_restarts(cluster):
    assert run_cli(cluster.settings(), "migrate", "up").returncode == 0
    url = cluster.dsn() + "&pool_max_conns=8&pool_min_conns=2"
    process = subprocess.Popen([os.path.join(BUILD, "store_stress"), "64", "10000"],
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
        said = process.communicate("", timeout=60)[0]
    finally:
        process.kill()
        process.wait()
    print(said)
    assert process.returncode == 0, said
