"""The table of settings in README.md is what `ocpp-persister config reference` prints.

It stands between <!-- settings --> and <!-- /settings -->. --fix: put it there.
"""

import os
import re
import subprocess
import sys

from lint import ROOT, finish

BLOCK = re.compile(r"(<!-- settings -->\n)(.*?)(<!-- /settings -->)", re.S)


def check(root, binary, fix=False):
    path = os.path.join(root, "README.md")
    table = subprocess.run([binary, "config", "reference"], check=True, capture_output=True,
                           text=True).stdout
    with open(path, encoding="utf-8") as f:
        text = f.read()
    found = BLOCK.search(text)
    if not found:
        return ["README.md:1: there is no <!-- settings --> ... <!-- /settings -->"]
    if found.group(2).strip() == table.strip():
        return []
    if fix:
        with open(path, "w", encoding="utf-8") as f:
            f.write(BLOCK.sub(lambda m: f"{m.group(1)}\n{table}\n{m.group(3)}", text))
        return []
    line = text[:found.start()].count("\n") + 1
    return [f"README.md:{line}: differs from `ocpp-persister config reference`; "
            "`cmake --build --preset dev --target readme` mends this"]


if __name__ == "__main__":
    finish(check(ROOT, sys.argv[1], "--fix" in sys.argv))
