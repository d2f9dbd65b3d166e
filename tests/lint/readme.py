"""The tables of README.md are what the program prints: between <!-- settings --> and
<!-- /settings --> stands `ocpp-persister config reference`, between <!-- metrics --> and
<!-- /metrics --> `ocpp-persister metrics reference`. --fix: put them there.
Tests that README.md and tests/README.md name exist: `test_x.py::test_y`, `test_x.c::what_is_true`,
or `test_y` alone.
"""

import os
import re
import subprocess
import sys

from lint import ROOT, finish, lines

TABLES = {"settings": ("config", "reference"), "metrics": ("metrics", "reference")}


def check_table(path, name, table, fix):
    block = re.compile(f"(<!-- {name} -->\n)(.*?)(<!-- /{name} -->)", re.S)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    found = block.search(text)
    if not found:
        return [f"README.md:1: there is no <!-- {name} --> ... <!-- /{name} -->"]
    if found.group(2).strip() == table.strip():
        return []
    if fix:
        with open(path, "w", encoding="utf-8") as f:
            f.write(block.sub(lambda m: f"{m.group(1)}\n{table}\n{m.group(3)}", text))
        return []
    line = text[:found.start()].count("\n") + 1
    return [f"README.md:{line}: differs from `ocpp-persister {' '.join(TABLES[name])}`; "
            "`cmake --build --preset dev --target readme` mends this"]


def test_names(root):
    """{file: names of its tests}, of tests/integration and tests/unit."""
    found = {}
    for folder, pattern in (("integration", r"def (test_\w+)\("),
                            ("unit", r"static void (\w+)\(void \*\*state\)")):
        folder = os.path.join("tests", folder)
        there = os.path.join(root, folder)
        for name in sorted(os.listdir(there)) if os.path.isdir(there) else []:
            if name.startswith("test_") and name.endswith((".py", ".c")):
                found[name] = {m.group(1) for line in lines(root, os.path.join(folder, name))
                               if (m := re.match(pattern, line))}
    return found


def check_tests(root):
    problems, names = [], test_names(root)
    everywhere = set().union(*names.values())
    for page in ("README.md", os.path.join("tests", "README.md")):
        if not os.path.exists(os.path.join(root, page)):
            continue
        for number, line in enumerate(lines(root, page), 1):
            for file, test in re.findall(r"(test_\w+\.(?:py|c))::(\w+)", line):
                if test not in names.get(file, ()):
                    problems.append(f"{page}:{number}: there is no {test} in {file}")
            for test in re.findall(r"`(test_\w+)`", line):
                if test not in everywhere:
                    problems.append(f"{page}:{number}: there is no test {test}")
    return problems


def check(root, binary, fix=False):
    problems = check_tests(root)
    for name, words in TABLES.items():
        table = subprocess.run([binary, *words], check=True, capture_output=True, text=True).stdout
        problems += check_table(os.path.join(root, "README.md"), name, table, fix)
    return problems


if __name__ == "__main__":
    finish(check(ROOT, sys.argv[1], "--fix" in sys.argv))
