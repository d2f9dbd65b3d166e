"""docs/messages.md is the contract for producers: its example is decoded, and its program is
run."""

import pathlib
import re
import subprocess
import sys
import textwrap

from conftest import BINARY, stored

PAGE = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "messages.md").read_text()


def block(name):
    return textwrap.dedent(re.search(f"<!-- {name} -->\n(.*?)<!-- /{name} -->", PAGE,
                                     re.S).group(1))


def test_example_decodes_to_the_rows_beside_it(tmp_path):
    payload = tmp_path / "example.msgpack"
    payload.write_bytes(bytes.fromhex(block("example")))
    done = subprocess.run([BINARY, "decode", "--topic", "cs/in/ocpp1.6/cs001",
                           "--received", "2026-01-31T10:00:01Z", payload],
                          capture_output=True, text=True, check=True)
    assert done.stdout.strip() == block("rows").strip()
    assert f"{payload.stat().st_size} bytes:" in PAGE


def test_program_publishes_the_example(running, migrated, broker):
    running()
    program = block("python")
    assert "port=1883" in program
    subprocess.run([sys.executable, "-c", program.replace("port=1883", f"port={broker.port}")],
                   check=True)
    stored(migrated, 1)
    assert migrated.rows("SELECT charge_station_id, transaction_id, sampled::text, digest"
                         " FROM meter_values") == [
        ("cs001", "1298498081", "{1532.50}", 347562890528917782)]
