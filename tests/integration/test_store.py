"""The store: its calls in C (store/*.c) and its queries, on a real PostgreSQL."""

import json
import os
import subprocess

import pytest
from conftest import BUILD, run_cli

OK, FAILED, USAGE, DATABASE, SCHEMA = 0, 1, 2, 4, 5


def run_cases(name, database, **environment):
    program = os.path.join(BUILD, f"store_{name}")
    if not os.path.exists(program):
        pytest.skip(f"{program} was not built: cmocka is not installed")
    done = subprocess.run([program], env={**os.environ, "STORE_URL": database.dsn(), **environment},
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["tokens", "stations", "roaming", "transactions"])
def test_calls(name, migrated):
    run_cases(name, migrated)
