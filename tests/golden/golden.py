"""Messages in, rows out: `ocpp-persister decode` of each file here against the file beside it.

    1.6-in-start.json       a payload; version and direction are in its name
    2.0.1-in-event.hex      the same for bytes: hexadecimal, with comments behind #
    store-token-set.json    what the store is told; the entity is in its name
    1.6-in-start.rows.txt   what is made of it

    export/json.txt ...          what `spool export` makes of a log of all of them, in each form

    golden.py BINARY MAKE_LOG             compare
    golden.py BINARY MAKE_LOG --update    write what is made now; look at the difference before a
                                          commit
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


def exported(binary, make_log, inputs):
    """{name of the golden file: text}, of each form of export. msgpack: a record a line, as hex."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        lines = "".join(f"{topic(p)}\t{payload(p).hex()}\n" for p in inputs)
        subprocess.run([make_log, log], input=lines, text=True, check=True)
        for form in ("json", "maeve", "msgpack"):
            done = subprocess.run([binary, f"--spool.dir={log}", "spool", "export", form],
                                  capture_output=True, check=False)
            if done.returncode != 0 or done.stderr:
                sys.exit(f"export {form}: exit code {done.returncode}\n{done.stderr.decode()}")
            found[form] = done.stdout
    records, text = found.pop("msgpack"), ""
    while records:
        size = int.from_bytes(records[7:11], "big")
        text += records[:size].hex() + "\n"
        records = records[size:]
    return {**{f"{form}.txt": out.decode() for form, out in found.items()}, "msgpack.txt": text}


def compare(path, made, update):
    """Is it as it was? Otherwise the difference is printed."""
    if update:
        path.write_text(made)
    before = path.read_text() if path.exists() else ""
    if made != before:
        print("".join(difflib.unified_diff(
            before.splitlines(True), made.splitlines(True), path.name, "made now")))
    return made == before


def main():
    binary, make_log, update = sys.argv[1], sys.argv[2], "--update" in sys.argv
    inputs = sorted(p for p in HERE.iterdir() if p.suffix in (".json", ".hex"))
    failed = sum(not compare(path.with_suffix(".rows.txt"), rows(binary, path), update)
                 for path in inputs)
    failed += sum(not compare(HERE / "export" / name, text, update)
                  for name, text in exported(binary, make_log, inputs).items())
    forgotten = {p.name for p in HERE.glob("*.rows.txt")} - {
        p.with_suffix(".rows.txt").name for p in inputs}
    print(f"{len(inputs)} messages, {failed} differ", *sorted(forgotten))
    return 1 if failed or forgotten or len(inputs) < 20 else 0


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C.UTF-8"
    sys.exit(main())
