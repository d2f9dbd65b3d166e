"""clang-tidy 14 over all of our C files, with the compile commands of a build folder.

One process per file: in one for several, clang 14's va_list checker mixes them up.
"""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from lint import ROOT, finish

CLANG_TIDY = "clang-tidy-14"


def one(build, path):
    # The commands are gcc's: what clang does not know of them is not a problem of the file.
    done = subprocess.run([CLANG_TIDY, "-p", build, "--quiet",
                           "--extra-arg=-Wno-unknown-warning-option", path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0 and not done.stdout:
        return done.stderr
    return done.stdout.replace(ROOT + "/", "")


def check(build):
    with open(os.path.join(build, "compile_commands.json")) as f:
        entries = {os.path.normpath(os.path.join(entry["directory"], entry["file"])): entry
                   for entry in json.load(f)}
    ours = [p for p in sorted(entries) if p.startswith((ROOT + "/consumer/", ROOT + "/bench/"))]
    if not ours:
        return [f"{build}/compile_commands.json:1: names none of our files"]
    # What is compiled twice, for the program and for the library, is looked at once.
    with tempfile.TemporaryDirectory() as once, ThreadPoolExecutor(os.cpu_count()) as pool:
        with open(os.path.join(once, "compile_commands.json"), "w") as f:
            json.dump(list(entries.values()), f)
        answers = list(pool.map(lambda path: one(once, path), ours))
    # A header's problem is told once for each file that includes it.
    return sorted({answer for answer in answers if answer})


if __name__ == "__main__":
    finish(check(sys.argv[1]))
