"""Messages in, rows out: `ocpp-persister decode` of each file here against the file beside it.

    1.6-in-start.json       a payload; version and direction are in its name
    2.0.1-in-event.hex      the same for bytes: hexadecimal, with comments behind #
    store-token-set.json    what the store is told; the entity is in its name
    1.6-in-start.rows.txt   what is made of it

    golden.py BINARY             compare
    golden.py BINARY --update    write what is made now; look at the difference before a commit
"""

import difflib
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
RECEIVED = "2026-02-01T12:00:00Z"


def payload(path):
    if path.suffix == ".hex":
        lines = (line.split("#")[0] for line in path.read_text().splitlines())
        return bytes.fromhex("".join(lines))
    # A file of text ends with a newline, its message does not.
    return path.read_bytes().removesuffix(b"\n")


def topic(path):
    first, second, _ = path.name.split("-", 2)
    return f"cs/store/{second}" if first == "store" else f"cs/{second}/ocpp{first}/cs001"


def rows(binary, path):
    with tempfile.NamedTemporaryFile() as f:
        f.write(payload(path))
        f.flush()
        done = subprocess.run(
            [binary, "decode", "--topic", topic(path), "--received", RECEIVED, f.name],
            capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or done.stderr:
        sys.exit(f"{path.name}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def main():
    binary, update = sys.argv[1], "--update" in sys.argv
    inputs = sorted(p for p in HERE.iterdir() if p.suffix in (".json", ".hex"))
    failed = 0
    for path in inputs:
        made, beside = rows(binary, path), path.with_suffix(".rows.txt")
        if update:
            beside.write_text(made)
        before = beside.read_text() if beside.exists() else ""
        if made != before:
            failed += 1
            print("".join(difflib.unified_diff(
                before.splitlines(True), made.splitlines(True), beside.name, "made now")))
    forgotten = {p.name for p in HERE.glob("*.rows.txt")} - {
        p.with_suffix(".rows.txt").name for p in inputs}
    print(f"{len(inputs)} messages, {failed} differ", *sorted(forgotten))
    return 1 if failed or forgotten or len(inputs) < 20 else 0


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C.UTF-8"
    sys.exit(main())
