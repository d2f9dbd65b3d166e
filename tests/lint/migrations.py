"""Migrations of each folder are numbered from 1 without a gap, in pairs."""

import os
import re

from lint import ROOT, finish

NAME = re.compile(r"(\d{6})_([a-z0-9_]+)\.(up|down)\.sql")


FOLDERS = ["migrations", "migrations/maeve"]


def check(root):
    return [problem for folder in FOLDERS if os.path.isdir(os.path.join(root, folder))
            for problem in _check(root, folder)]


def _check(root, folder):
    problems = []
    pairs = {}
    for name in sorted(os.listdir(os.path.join(root, folder))):
        found = NAME.fullmatch(name)
        if not found:
            if name.endswith(".sql"):
                problems.append(f"{folder}/{name}:1: not named NNNNNN_name.up.sql or .down.sql")
            continue
        number, title, direction = found.groups()
        pairs.setdefault(int(number), {}).setdefault(f"{number}_{title}", set()).add(direction)
    for expected, number in enumerate(sorted(pairs), 1):
        titles = pairs[number]
        if number != expected:
            problems.append(f"{folder}:1: number {expected} is missing before {number}")
            break
        if len(titles) > 1:
            problems.append(f"{folder}:1: {number} is there as {' and '.join(sorted(titles))}")
        for title, directions in titles.items():
            if directions != {"up", "down"}:
                problems.append(f"{folder}:1: {title} has only its {directions.pop()} file")
    return problems


if __name__ == "__main__":
    finish(check(ROOT))
