"""Phrases of words.txt stand nowhere: in no document, comment, message or help. There PATTERN =
INSTEAD says what to write; "ok" lines are phrases in which a word is right.
"""

import os
import re

from lint import ROOT, files, finish, lines

# Scripts without an extension.
SCRIPTS = ("run", "store", "install-deps", "image", "postinst", "postrm", "prerm")

LIST = os.path.join("tests", "lint", "words.txt")
EXT = (".md", ".c", ".h", ".def", ".py", ".sql", ".ini", ".txt", ".in", ".schema", ".cmake", ".yml",
       ".yaml", ".conf", ".service", ".sh", ".bash", ".zsh", *SCRIPTS)
FOLDERS = ("bench", "consumer", "deploy", "docs", "schemas", "tests")

# Released migrations are never changed: the last one of each folder.
RELEASED = {"migrations": 44, "migrations/maeve": 10}

# What others wrote (messages, inputs of fuzzers), and this list.
NOT_OURS = re.compile(r"tests/(golden|fuzz/corpus|lint)/")

# The glossary has a column of words that are not meant.
GLOSSARY = re.compile(r"## Glossary")


def read(root):
    """([(pattern, instead)], pattern of what is right)"""
    wrong, right = [], []
    for line in lines(root, LIST):
        if line.startswith("ok "):
            right.append(line[3:])
        elif line and not line.startswith("#"):
            pattern, instead = line.split(" = ", 1)
            wrong.append((re.compile(pattern, re.I), instead))
    return wrong, re.compile("|".join(right) or r"(?!)", re.I)


def text(root, path):
    """(number, line) up to the glossary."""
    for number, line in enumerate(lines(root, path), 1):
        if path == "ARCHITECTURE.md" and GLOSSARY.match(line):
            return
        yield number, line


def new_migrations(root):
    for folder, released in RELEASED.items():
        path = os.path.join(root, folder)
        for name in sorted(os.listdir(path)) if os.path.isdir(path) else []:
            # The way back has the words of before.
            if name.endswith(".up.sql") and int(name[:6]) > released:
                yield os.path.join(folder, name)


def check(root, folders=FOLDERS):
    wrong, right = read(root)
    pages = sorted(n for n in os.listdir(root) if n.endswith(".md"))
    problems = []
    top = [n for n in ("check", "quickstart", "docker-compose.yml", "Dockerfile", "CMakeLists.txt")
           if os.path.exists(os.path.join(root, n))]
    for path in (*pages, *top, *new_migrations(root), *files(root, *folders, ext=EXT)):
        if NOT_OURS.match(path):
            continue
        for number, line in text(root, path):
            rest = right.sub("", line)
            problems += [f"{path}:{number}: \"{found.group(0)}\": say {instead}"
                         for pattern, instead in wrong if (found := pattern.search(rest))]
    return problems


if __name__ == "__main__":
    finish(check(ROOT))
