"""What the lint tests share: the list of our files, and how a test ends."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def files(root, *folders, ext):
    """Paths, relative to root, of our files in these folders that end in one of ext."""
    for folder in folders:
        for path, names, found in os.walk(os.path.join(root, folder)):
            names[:] = sorted(n for n in names if not n.startswith(".") and n != "__pycache__")
            for name in sorted(found):
                if name.endswith(ext):
                    yield os.path.relpath(os.path.join(path, name), root)


def lines(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read().splitlines()


def finish(problems):
    """Exit code 1 with the problems, each "file:line: what"."""
    for problem in problems:
        print(problem)
    if problems:
        print(f"{len(problems)} problem{'s' * (len(problems) > 1)}")
    sys.exit(1 if problems else 0)
