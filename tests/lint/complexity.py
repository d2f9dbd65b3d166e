"""No function has more paths than a reader can follow: cyclomatic complexity by pmccabe.

The first of its numbers counts, for which a switch is one decision: its cases are a table.
"""

import subprocess

from lint import ROOT, files, finish

COMPLEXITY_MAX = 15

# Functions above it, with their value. None may rise, and one that falls leaves.
EXCEPTIONS = {}


def check(root, exceptions=EXCEPTIONS):
    paths = list(files(root, "consumer", "bench", ext=(".c",)))
    out = subprocess.run(["pmccabe", *paths], cwd=root, check=True, stdout=subprocess.PIPE,
                         text=True).stdout
    problems, seen = [], set()
    for line in out.splitlines():
        value, _, _, _, _, place, name = line.split(None, 6)
        path, number = place.rstrip("):").split("(")
        limit = exceptions.get(path, {}).get(name, COMPLEXITY_MAX)
        if limit > COMPLEXITY_MAX and int(value) > COMPLEXITY_MAX:
            seen.add((path, name))
        if int(value) > limit:
            problems.append(f"{path}:{number}: {name}() has a complexity of {value}; "
                            f"{limit} is the limit")
    gone = {(path, name) for path in exceptions for name in exceptions[path]} - seen
    return problems + [f"tests/lint/complexity.py:1: {name}() of {path} is no longer an exception"
                       for path, name in sorted(gone)]


if __name__ == "__main__":
    finish(check(ROOT))
