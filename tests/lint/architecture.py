"""What ARCHITECTURE.md and the READMEs in consumer/ name exists: `file.c:function` is defined in
that file of consumer/, `enum x` and `struct x` stand in one of its headers, `function()` anywhere.
"""

import os
import re

from lint import ROOT, files, finish, lines

CHAIN = re.compile(r"`([\w/]+\.c):(\w+)`")
TYPE = re.compile(r"`((?:enum|struct) \w+)`")
CALL = re.compile(r"`(\w+)\(\)`")

# Functions of the C library and others that the text only mentions.
FOREIGN = {"malloc", "free", "abort"}


def defines(text, function):
    """A definition in our layout: from the first column, its body's brace on a line of its own."""
    return re.search(rf"^\w[^\n;{{}}]*\b{function}\([^;{{}}]*\)\n\{{", text, re.M) is not None


def pages(root):
    yield "ARCHITECTURE.md"
    yield from files(root, "consumer", ext=("README.md",))


def sources(root):
    """All text in which a function or type may be defined."""
    text = {}
    for path in files(root, "consumer", "migrations", ext=(".c", ".h", ".sql", ".def")):
        with open(os.path.join(root, path), encoding="utf-8") as f:
            text[path] = f.read()
    return text


def check(root):
    text = sources(root)
    headers = "\n".join(t for path, t in text.items() if path.endswith(".h"))
    everything = "\n".join(text.values())
    problems = []
    for page in pages(root):
        for number, line in enumerate(lines(root, page), 1):
            where = f"{page}:{number}"
            for file, function in CHAIN.findall(line):
                path = f"consumer/{file}"
                if path not in text:
                    problems.append(f"{where}: there is no {path}")
                elif not defines(text[path], function):
                    problems.append(f"{where}: {path} defines no {function}()")
            problems += [f"{where}: no header has {name}" for name in TYPE.findall(line)
                         if not re.search(rf"\b{name}( \{{|;)", headers)]
            problems += [f"{where}: there is no {name}()" for name in CALL.findall(line)
                         if name not in FOREIGN and not re.search(rf"\b{name}\(", everything)]
    return problems


if __name__ == "__main__":
    finish(check(ROOT))
