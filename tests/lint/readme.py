"""What the documents say of the program is so: between <!-- settings --> and <!-- /settings --> of
docs/settings.md stands `ocpp-persister config reference`, between <!-- metrics --> and
<!-- /metrics --> of docs/metrics.md `ocpp-persister metrics reference`. --fix: put them there.
Tests that README.md, docs/ and tests/README.md name exist: `test_x.py::test_y`,
`test_x.c::what_is_true`, `test_y` alone, and every name in the column "Test" of a table.
"""

import os
import re
import subprocess
import sys

from lint import ROOT, finish, lines

TABLES = {"settings": ("config", "reference"), "metrics": ("metrics", "reference")}

# Folder of tests -> how a test begins there.
TESTS = {"tests/integration": r"def (test_\w+)\(",
         "tests/integration/store": r"static void (\w+)\(",
         "tests/unit": r"static void (\w+)\(void \*\*state\)"}


def check_table(root, name, table, fix):
    page = f"docs/{name}.md"
    block = re.compile(f"(<!-- {name} -->\n)(.*?)(<!-- /{name} -->)", re.S)
    with open(os.path.join(root, page), encoding="utf-8") as f:
        text = f.read()
    found = block.search(text)
    if not found:
        return [f"{page}:1: there is no <!-- {name} --> ... <!-- /{name} -->"]
    if found.group(2).strip() == table.strip():
        return []
    if fix:
        with open(os.path.join(root, page), "w", encoding="utf-8") as f:
            f.write(block.sub(lambda m: f"{m.group(1)}\n{table}\n{m.group(3)}", text))
        return []
    line = text[:found.start()].count("\n") + 1
    return [f"{page}:{line}: differs from `ocpp-persister {' '.join(TABLES[name])}`; "
            "`cmake --build --preset dev --target readme` fixes this"]


def test_names(root):
    """{file: names of its tests}."""
    found = {}
    for folder, pattern in TESTS.items():
        there = os.path.join(root, folder)
        for name in sorted(os.listdir(there)) if os.path.isdir(there) else []:
            if name.startswith("test_") and name.endswith((".py", ".c")) or "store" in folder:
                path = os.path.join(folder, name)
                if os.path.isfile(os.path.join(root, path)):
                    found[name] = {m.group(1) for line in lines(root, path)
                                   if (m := re.match(pattern, line))}
    return found


def pages(root):
    there = os.path.join(root, "docs")
    yield from ("README.md", "tests/README.md")
    yield from (f"docs/{name}" for name in sorted(os.listdir(there)) if name.endswith(".md"))


def column_of_tests(text):
    """(line number, name) for each `name` in the last column of tables that call it Test."""
    inside = False
    for number, line in enumerate(text, 1):
        cells = [c.strip() for c in line.strip().strip("|").split(" | ")]
        if not line.startswith("|"):
            inside = False
        elif cells[-1] == "Test":
            inside = True
        elif inside:
            yield from ((number, name) for name in re.findall(r"`(\w+)`", cells[-1]))


def check_tests(root):
    problems, names = [], test_names(root)
    everywhere = set().union(*names.values())
    for page in pages(root):
        if not os.path.exists(os.path.join(root, page)):
            continue
        text = lines(root, page)
        for number, line in enumerate(text, 1):
            for file, test in re.findall(r"(test_\w+\.(?:py|c))::(\w+)", line):
                if test not in names.get(file, ()):
                    problems.append(f"{page}:{number}: there is no {test} in {file}")
        alone = [(number, test) for number, line in enumerate(text, 1)
                 for test in re.findall(r"`(test_\w+)`", line)]
        for number, test in sorted({*alone, *column_of_tests(text)}):
            if test not in everywhere:
                problems.append(f"{page}:{number}: there is no test {test}")
    return problems


def check(root, binary, fix=False):
    problems = check_tests(root)
    for name, words in TABLES.items():
        table = subprocess.run([binary, *words], check=True, capture_output=True, text=True).stdout
        problems += check_table(root, name, table, fix)
    return problems


if __name__ == "__main__":
    finish(check(ROOT, sys.argv[1], "--fix" in sys.argv))
