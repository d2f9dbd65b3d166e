"""Functions stand in the order in which they can be read: each after those that it calls.

A static function is declared before its definition only where functions call each other in a
circle. A declaration that carries an attribute says more than the definition does, and may stay.
"""

import re

from lint import ROOT, files, finish, lines

NOISE = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'', re.S)
DECLARED = re.compile(r"^static\b[^;{}=]*?\b(\w+)\([^;{}]*\);", re.M)
DEFINED = re.compile(r"^[a-zA-Z][^;{}=()\n]*\b(\w+)\([^;{}]*\)\n\{\n(.*?)^\}", re.M | re.S)


def reached(calls, name):
    """All that a function calls, itself or through others."""
    found, left = set(), [name]
    while left:
        for called in calls[left.pop()] - found:
            found.add(called)
            left.append(called)
    return found


def check(root):
    problems = []
    for path in files(root, "consumer", "bench", ext=(".c",)):
        # Without what is not code, but with the same lines.
        text = NOISE.sub(lambda m: "\n" * m[0].count("\n"), "\n".join(lines(root, path)) + "\n")
        bodies = {m[1]: m[2] for m in DEFINED.finditer(text)}
        calls = {name: {word for word in re.findall(r"\w+", body) if word in bodies}
                 for name, body in bodies.items()}
        for m in DECLARED.finditer(text):
            if ("__attribute__" not in m[0] and m[1] in bodies and
                    m[1] not in reached(calls, m[1])):
                line = text.count("\n", 0, m.start()) + 1
                problems.append(f"{path}:{line}: {m[1]}() needs no declaration: put it before "
                                "what calls it")
    return problems


if __name__ == "__main__":
    finish(check(ROOT))
