"""All schemas are compiled in: one that is forgotten would be seen by nobody."""

import os
import re

from lint import ROOT, finish, lines


def check(root):
    cmake = "\n".join(lines(root, "consumer/CMakeLists.txt"))
    found = re.search(r"set\(SCHEMAS\s+([^)]*)\)", cmake)
    listed = set(found.group(1).split()) if found else set()
    there = {name.removesuffix(".schema") for name in os.listdir(os.path.join(root, "schemas"))
             if name.endswith(".schema")}
    return ([f"schemas/{name}.schema:1: is not in SCHEMAS of consumer/CMakeLists.txt"
             for name in sorted(there - listed)]
            + [f"consumer/CMakeLists.txt:1: there is no schemas/{name}.schema"
               for name in sorted(listed - there)])


if __name__ == "__main__":
    finish(check(ROOT))
