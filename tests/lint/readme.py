"""The tables of README.md are what the program prints: between <!-- settings --> and
<!-- /settings --> stands `ocpp-persister config reference`, between <!-- metrics --> and
<!-- /metrics --> `ocpp-persister metrics reference`. --fix: put them there.
Tests that it names as test_x.py::test_y exist.
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


def check_tests(root):
    problems = []
    for number, line in enumerate(lines(root, "README.md"), 1):
        for name, test in re.findall(r"(test_\w+\.py)::(test_\w+)", line):
            path = os.path.join("tests", "integration", name)
            if not os.path.exists(os.path.join(root, path)) or not any(
                    re.match(rf"def {test}\(", text) for text in lines(root, path)):
                problems.append(f"README.md:{number}: there is no {test} in {path}")
    return problems


def check(root, binary, fix=False):
    problems = check_tests(root)
    for name, words in TABLES.items():
        table = subprocess.run([binary, *words], check=True, capture_output=True, text=True).stdout
        problems += check_table(os.path.join(root, "README.md"), name, table, fix)
    return problems


if __name__ == "__main__":
    finish(check(ROOT, sys.argv[1], "--fix" in sys.argv))
