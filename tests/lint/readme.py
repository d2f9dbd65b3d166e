"""The tables of README.md are what the program prints: between <!-- settings --> and
<!-- /settings --> stands `ocpp-persister config reference`, between <!-- metrics --> and
<!-- /metrics --> `ocpp-persister metrics reference`. --fix: put them there.
"""

import os
import re
import subprocess
import sys

from lint import ROOT, finish

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


def check(root, binary, fix=False):
    problems = []
    for name, words in TABLES.items():
        table = subprocess.run([binary, *words], check=True, capture_output=True, text=True).stdout
        problems += check_table(os.path.join(root, "README.md"), name, table, fix)
    return problems


if __name__ == "__main__":
    finish(check(ROOT, sys.argv[1], "--fix" in sys.argv))
