"""The kill loop of tests/chaos, short: two rounds of all faults, by one seed."""

import os
import re
import subprocess
import sys

import conftest
import rig

CHAOS = os.path.join(conftest.ROOT, "tests", "chaos", "run")
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
