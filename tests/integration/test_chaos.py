"""The kill loop of tests/chaos, short: two rounds of all faults, by one seed."""

import json
import os
import re
import subprocess
import sys

import conftest
import rig

CHAOS = os.path.join(conftest.ROOT, "tests", "chaos", "run")
sys.path.append(os.path.dirname(CHAOS))
from auditor import Audit  # noqa: E402
from tap import Delivery, Tap  # noqa: E402
ROUNDS, FAULTS = 2, 5


@conftest.needs_failpoints
def test_two_rounds_of_all_faults_lose_and_double_nothing():
    done = subprocess.run(
        [sys.executable, "-B", CHAOS, "--rounds", str(ROUNDS), "--seed", "3844", "--faults",
         str(FAULTS), "--messages", "1000", "--build", conftest.BUILD],
        text=True, capture_output=True, timeout=rig.HANGS_S)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("round ")] == ["1", "2"]
    totals, = [line for line in lines if line.startswith("rounds=")]
    counts = {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", totals)}
    assert counts.pop("rounds") == ROUNDS and counts.pop("faults") == ROUNDS * FAULTS
    assert set(counts) >= {"lost", "doubled", "altered", "undelivered", "leftover", "stuck",
                           "crashed"}
    assert not any(counts.values()), done.stdout
    # The load is not empty: what was acknowledged has been stored.
    for stored in re.findall(r" stored=(\d+)", done.stdout):
        assert int(stored) > 1000


def test_a_peer_goes_through_the_same_loop():
    """What it loses depends on when it is killed; that it is counted is the next test."""
    done = subprocess.run(
        [sys.executable, "-B", CHAOS, "--rounds", "1", "--seed", "5", "--profile", "common",
         "--consumer", "python", "--kinds", "kill_worker,terminate,cut_database", "--faults", "3",
         "--messages", "600", "--build", conftest.BUILD],
        text=True, capture_output=True, timeout=rig.HANGS_S)
    totals, faults, messages = done.stdout.splitlines()[-3:] if done.returncode == 0 \
        else done.stdout.splitlines()[-4:-1]
    assert {"altered=0", "invented=0", "undelivered=0", "stuck=0", "crashed=0"} <= set(
        totals.split()), done.stdout + done.stderr
    assert faults.split() == ["cut_database=1", "kill_worker=1", "terminate=1"]
    published, acknowledged = map(int, re.findall(r"(\d+) ", messages)[-2:])
    assert acknowledged >= published > 600


def test_what_a_peer_loses_and_doubles_is_counted():
    tap = Tap()
    for payload in (b'{"n":1.0}', b'{"n":2}', b'{"n":3}', b'{"n":3}', b'{"n":4}'):
        tap.deliveries.append(Delivery("t", payload))
    for delivery in tap.deliveries[:4]:
        tap.acknowledge(delivery)
    rows = [{"n": 1}, {"n": 3}, {"n": 3}, {"n": 3}, {"n": 9}]
    audit = Audit()
    totals = audit.messages([("t", json.dumps(row)) for row in rows], [tap])
    assert totals == {"acknowledged": 4, "stored": 5}
    assert audit.counts == {"lost": 1, "doubled": 1, "invented": 1}
    assert audit.examples[0] == """lost: ('t', '{"n": "2"}')"""
