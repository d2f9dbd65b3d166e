"""Links in Markdown lead somewhere: a relative one to a file or folder of the tree, and its anchor
to a heading of that page. The same for documents that anything else names: docs/x.md, docs/x.md#y.
"""

import os
import re

from lint import ROOT, files, finish, lines

LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
NAMED = re.compile(r"(?<![\w/.-])((?:[\w.-]+/)*[\w.-]+\.md)(#[\w-]+)?")

# Where a document may be named, beside the Markdown. Golden files are not ours to read.
FOLDERS = ("bench", "consumer", "deploy", "docs", "migrations", "schemas", "tests")
EXT = (".c", ".h", ".def", ".py", ".sql", ".ini", ".txt", ".in", ".schema")


def without_code(text):
    """(number, line) of what is not code: neither indented after a blank line nor in `...`."""
    indented, fenced, before = False, False, ""
    for number, line in enumerate(text, 1):
        if line.startswith("```"):
            fenced = not fenced
        if line.startswith("    "):
            indented = indented or not before.strip()
        elif line.strip():
            indented = False
        before = line
        if not (fenced or indented):
            yield number, re.sub(r"`[^`]*`", "", line)


def anchors(text):
    """As GitHub makes them of headings: lower case, no punctuation, hyphens for blanks."""
    found, fenced = {}, False
    for line in text:
        if line.startswith("```"):
            fenced = not fenced
        heading = re.match(r"#{1,6} +(.*)", line)
        if not heading or fenced:
            continue
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.group(1)).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found[anchor] = found.get(anchor, 0) + 1
    return {a if n == 0 else f"{a}-{n}" for a, count in found.items() for n in range(count)}


def target_problem(root, page, target):
    """target as it stands in page; both relative to root."""
    path, _, anchor = target.partition("#")
    there = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
    if there.startswith(".."):
        return f"{target} is outside of the tree"
    if not os.path.exists(os.path.join(root, there)):
        return f"there is no {there}"
    if anchor and there.endswith(".md") and anchor not in anchors(lines(root, there)):
        return f"{there} has no heading #{anchor}"
    return None


def markdown(root):
    yield from sorted(n for n in os.listdir(root) if n.endswith(".md"))
    yield from files(root, *FOLDERS, ext=(".md",))


def check_markdown(root):
    for page in markdown(root):
        for number, line in without_code(lines(root, page)):
            for target in LINK.findall(line):
                if not re.match(r"\w+:", target):
                    problem = target_problem(root, page, target)
                    if problem:
                        yield f"{page}:{number}: {problem}"


def check_named(root):
    """Text and comments name a document from the root, from docs/ or from their own folder."""
    for path in files(root, *FOLDERS, ext=EXT):
        if path.startswith(("tests/golden", "tests/fuzz/corpus", "tests/lint")):
            continue
        for number, line in enumerate(lines(root, path), 1):
            for name, anchor in NAMED.findall(line):
                target = name + (anchor or "")
                found = [target_problem(root, page, target) for page in ("x.md", "docs/x.md", path)]
                if all(found):
                    yield f"{path}:{number}: {found[0]}"


def check(root):
    return [*check_markdown(root), *check_named(root)]


if __name__ == "__main__":
    finish(check(ROOT))
