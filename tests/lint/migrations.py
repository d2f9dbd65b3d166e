"""Migrations of each folder are numbered from 1 without a gap, in pairs, and compiled in."""

import os
import re

from lint import ROOT, finish, lines

NAME = re.compile(r"(\d{6})_([a-z0-9_]+)\.(up|down)\.sql")


# Each folder with migrations, and the list of them in consumer/CMakeLists.txt.
FOLDERS = {"migrations": "MIGRATIONS", "migrations/maeve": "MAEVE_MIGRATIONS"}


def check(root):
    return [problem for folder, variable in FOLDERS.items()
            if os.path.isdir(os.path.join(root, folder))
            for problem in _check(root, folder, variable)]


def _check(root, folder, variable):
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
    return problems + _compiled_in(root, folder, variable, pairs)


def _compiled_in(root, folder, variable, pairs):
    cmake = "\n".join(lines(root, "consumer/CMakeLists.txt"))
    block = re.search(rf"set\({variable}\b([^)]*)", cmake)
    listed = re.findall(r"\b\d{6}_\w+", block[1] if block else "")
    there = sorted(title for titles in pairs.values() for title in titles)
    if sorted(listed) != there:
        return ["consumer/CMakeLists.txt:1: compiled in are "
                f"{', '.join(listed)}; in {folder}/ are {', '.join(there)}"]
    return []


if __name__ == "__main__":
    finish(check(ROOT))
