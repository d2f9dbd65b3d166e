"""All C files are as clang-format 14 writes them. --fix: make them so."""

import os
import subprocess
import sys

from lint import ROOT, files, finish

# Other versions lay out some lines differently.
CLANG_FORMAT = "clang-format-14"


def check(root, fix=False):
    paths = [os.path.join(root, path)
             for path in files(root, "consumer", "bench", "tests", ext=(".c", ".h"))]
    how = ["-i"] if fix else ["--dry-run", "--Werror"]
    done = subprocess.run([CLANG_FORMAT, *how, *paths], stderr=subprocess.PIPE, text=True)
    problems = [line for line in done.stderr.splitlines() if " error: " in line]
    if done.returncode != 0 and not problems:
        problems = [done.stderr]
    return [os.path.relpath(p, root) if p.startswith(root) else p for p in problems]


if __name__ == "__main__":
    problems = check(ROOT, "--fix" in sys.argv)
    if problems:
        print("`cmake --build --preset dev --target format` fixes this:")
    finish(problems)
