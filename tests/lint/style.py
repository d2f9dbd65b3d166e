"""Sizes a reader can hold in mind: functions of 60 lines, files of 800, lines of 100 columns, a
README of 150 lines.

And what clang-format 14 cannot see to: trailing blanks, the end of the file, names that are not
for this repository.
"""

import os
import re

from lint import ROOT, files, finish, lines

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 800
COLUMNS_MAX = 100
README_LINES_MAX = 150

# Tables whose rows are one line each, and JSON as it is on the wire, in single quotes.
LONG_LINE_FILES = re.compile(r"\.def$")
LONG_LINES = re.compile(r"'[{\[][^']{60,}[}\]]'")


def function_problems(path, text):
    """Linux braces: the body of a function is between a "{" and a "}" in the first column."""
    start = None
    for number, line in enumerate(text, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            size = number - start - 1
            if size > FUNCTION_LINES_MAX:
                yield (f"{path}:{start}: function of {size} lines; "
                       f"{FUNCTION_LINES_MAX} are the limit")
            start = None


def python_function_problems(path, text):
    """From a def to the last line that is deeper than it."""
    for number, line in enumerate(text):
        found = re.match(r"(\s*)def (\w+)", line)
        if not found:
            continue
        size = 1
        last = 1
        for below in text[number + 1:]:
            size += 1
            if below.strip() and len(below) - len(below.lstrip()) <= len(found.group(1)) \
                    and not below.lstrip().startswith(")"):
                break
            if below.strip():
                last = size
        if last > FUNCTION_LINES_MAX:
            yield (f"{path}:{number + 1}: {found.group(2)}() has {last} lines; "
                   f"{FUNCTION_LINES_MAX} are the limit")


def columns(line):
    return len(line.expandtabs(8))


def line_problems(path, text):
    for number, line in enumerate(text, 1):
        if columns(line) > COLUMNS_MAX and not (LONG_LINE_FILES.search(path)
                                                or LONG_LINES.search(line)):
            yield f"{path}:{number}: {columns(line)} columns; {COLUMNS_MAX} are the limit"
        if line != line.rstrip():
            yield f"{path}:{number}: blanks at the end of the line"


def readme_problems(root):
    there = os.path.exists(os.path.join(root, "README.md"))
    size = len(lines(root, "README.md")) if there else 0
    if size > README_LINES_MAX:
        yield f"README.md:1: {size} lines; {README_LINES_MAX} are the limit"


def check(root):
    problems = list(readme_problems(root))
    for path in files(root, "consumer", "bench", "tests", ext=(".c", ".h", ".def", ".py")):
        text = lines(root, path)
        if len(text) > FILE_LINES_MAX:
            problems.append(f"{path}:1: {len(text)} lines; {FILE_LINES_MAX} are the limit")
        problems += line_problems(path, text)
        find = python_function_problems if path.endswith(".py") else function_problems
        problems += find(path, text)
    return problems


if __name__ == "__main__":
    finish(check(ROOT))
