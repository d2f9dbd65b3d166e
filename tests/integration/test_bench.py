"""What bench/run measures, with few messages: each section completes and has figures."""

import json
import os
import subprocess
import sys

import pytest
import rig

FIGURES = os.path.join(os.path.dirname(rig.__file__), "figures.py")
MESSAGES = 2000


def numbers(figures):
    for value in figures.values():
        if isinstance(value, dict):
            yield from numbers(value)
        else:
            yield value


@pytest.mark.parametrize("section", ["drain", "replay", "queue"])
def test_section_runs_to_its_end(section, tmp_path):
    """Latency, rates and beside take a fixed time, whatever the messages; peers need npm."""
    done = subprocess.run(
        [sys.executable, "-B", FIGURES, "--quick", "--only", section, "--messages", str(MESSAGES),
         "--json", tmp_path / "figures"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert "peak RSS" in done.stdout
    figures = json.loads((tmp_path / "figures").read_text())
    assert set(figures) == {section}
    found = list(numbers(figures))
    assert len(found) > 2 and all(value >= 0 for value in found) and any(found), figures
