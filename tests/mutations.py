#!/usr/bin/env python3
"""Is the property test worth its name? Breaks the merge of one column of transactions after the
other in a copy of the source, and expects integration/test_property.py to fail for each.

    tests/mutations.py            all (some 10 minutes)
    tests/mutations.py COLUMN...  these

Prints a line per mutation; exits 0 only if all are caught, and the unbroken program passes.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
SOURCE = "consumer/rows/transaction.c"
FACTS = "consumer/rows/transaction.def"

# Columns that are computed: what of the merge is left out.
COMPUTED = {
    "first_event_at": ("transaction_see_time(into, from_cells[TABLE_transactions_first_event_at]"
                       ".number);", ";"),
    "last_event_at": ("transaction_see_time(into, from_cells[TABLE_transactions_last_event_at]"
                      ".number);", ";"),
    "seq_no_missing": ("return transaction_merge_ranges(into, from, arena);",
                       "return into->ranges_count > 0 ||"
                       " transaction_merge_ranges(into, from, arena);"),
    "flags": ("flags->number |= FLAG_duplicate_stop;", "flags->number |= 0;"),
    "partition_time": ("start->present && start->number != TIME_UNDATED ? start->number",
                       "cells[TABLE_transactions_partition_time].present"
                       " ? cells[TABLE_transactions_partition_time].number"),
}


def mutations(root):
    """{column: (text, broken text)}: a fact is taken from whatever came last."""
    facts = re.findall(r"^FACT\((\w+),", (root / FACTS).read_text(), re.MULTILINE)
    taken = "if (takes[transaction_facts[i].group])"
    return {**{column: (taken, taken[:-1] + " || transaction_facts[i].column =="
                        f" TABLE_transactions_{column})") for column in facts}, **COMPUTED}


def build(root, first=False):
    if first:
        subprocess.run(["cmake", "--preset", "dev"], cwd=root, check=True,
                       stdout=subprocess.DEVNULL)
    done = subprocess.run(["cmake", "--build", "build/dev", "--target", "ocpp-persister"],
                          cwd=root, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(done.stdout)


def passes(root):
    env = {**os.environ, "OCPP_PERSISTER": str(root / "build/dev/ocpp-persister"),
           "PROPERTY_SHRINK": "0", "PROPERTY_WAIT": "60"}
    done = subprocess.run(["/usr/bin/python3", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider",
                           "tests/integration/test_property.py"], cwd=root, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # A difference, or a transaction that cannot be written; not a program that does not work.
    found = re.search(r"Failed: (\d+ of \d+ histories) differ", done.stdout)
    stuck = re.search(r"TimedOut: after 60 s: \d+ messages", done.stdout)
    if done.returncode != 0 and not found and not stuck:
        sys.exit(f"it failed, but found no difference:\n{done.stdout}")
    return done.returncode == 0, found.group(1) if found else "getting stuck"


def main():
    survivors = []
    with tempfile.TemporaryDirectory(prefix="ocpp-mutations.") as folder:
        root = pathlib.Path(folder, "source")
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True,
                               stdout=subprocess.PIPE, text=True).stdout.split("\0")
        for name in filter(None, files):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
        build(root, first=True)
        if not passes(root)[0]:
            sys.exit("the unbroken program fails")
        print("unbroken: passes", flush=True)
        text = (root / SOURCE).read_text()
        table = mutations(root)
        for column in sys.argv[1:] or table:
            good, broken = table[column]
            if text.count(good) != 1:
                sys.exit(f"{column}: what is to be broken is not in {SOURCE} once: {good}")
            (root / SOURCE).write_text(text.replace(good, broken))
            build(root)
            survived, how = passes(root)
            print(f"{column}: {'NOT CAUGHT' if survived else f'caught by {how}'}",
                  flush=True)
            survivors += [column] if survived else []
    print(f"{len(survivors)} not caught" if survivors else "all caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
