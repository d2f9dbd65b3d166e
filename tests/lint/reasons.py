"""Reasons are those of consumer/base/reasons.def, and nobody branches on one: the kind of an error
says what to do next.

A reason is for people, and a second place may use it for something else; no compiler sees that.
What it is about (error_about()) decides on exit codes, and in pg/ tells a lost connection. What an
SQLSTATE means is known to pg/pg_error.c alone.

Why messages are not stored is counted by reason. An alert on the increase of a counter does not see
its first value, so each counter begins with 0, and has to be listed; docs/operating.md explains it.
"""

import re

from lint import ROOT, files, finish, lines

LIST = "consumer/base/reasons.def"
PAGE = "docs/operating.md"
LISTED = re.compile(r"^(DEAD_LETTERED|SKIPPED|REASON)\((\w+)", re.M)

NAME = r"\b\w*(?:err|error|failure|why|lost)\w*(?:->|\.)(?:reason|code)\b"
COMPARES = re.compile(r"\b(?:str(?:n|case|ncase)?cmp|strstr|strchr|slice_equal_cstr)"
                      rf"\((?:[^();]|\([^()]*\))*{NAME}|{NAME}\s*(?:[=!]=|\[)")
SQLSTATE = re.compile(r"\b(?:strn?cmp|memcmp)\([^;]*?\bsqlstate\b")
ABOUT = re.compile(r"\berror_about\(")
KNOW_ABOUT = ("consumer/base/error.", "consumer/cli/command.c", "consumer/pg/pg_error.c")

# error_set(err, ERROR_POISON, REASON_x, ...), error_becomes(), and rows of the table of SQLSTATEs,
# in the folders that a message passes through.
POISON = re.compile(r"(?:\bERROR_POISON,\s*(?:PG_\w+,\s*)?"
                    r"|\b(?:json_stop|guard_error)\([^;\"]*?)REASON_(\w+)")
POISON_FOLDERS = tuple(f"consumer/{name}/" for name in ("decode", "rows", "copy", "daemon", "pg"))
SKIPPED = {"consumer/rows/rows.c": r"^static const char \*rows_skip\(.*?^\}",
           "consumer/rows/rows_expiry.c": r"->skipped = [^;]*;",
           "consumer/daemon/pipeline_fill.c": r"\.skipped = [^;]*;"}


def check_uses(path, text):
    """What a file does with reasons that it must not."""
    def where(found):
        return f"{path}:{text.count(chr(10), 0, found.start()) + 1}"

    problems = [f"{where(found)}: branches on the reason of an error: it needs a kind of its own "
                "(base/error.h)" for found in COMPARES.finditer(text)]
    if path != "consumer/pg/pg_error.c":
        problems += [f"{where(found)}: knows an SQLSTATE: see pg/pg_error.h"
                     for found in SQLSTATE.finditer(text)]
    if not path.startswith(KNOW_ABOUT):
        problems += [f"{where(found)}: decides by what an error is about: it needs a kind"
                     for found in ABOUT.finditer(text)]
    return problems


def check(root):
    listed = {name: macro for macro, name in LISTED.findall("\n".join(lines(root, LIST)))}
    page = "\n".join(lines(root, PAGE))
    problems, given = [], set()
    for path in files(root, "consumer", "bench", ext=(".c", ".h")):
        text = "\n".join(lines(root, path))
        given.update(re.findall(r"\bREASON_(\w+)", text))
        problems += check_uses(path, text)
        if path.startswith(POISON_FOLDERS):
            problems += [f"{path}:1: DEAD_LETTERED({name}) is not in {LIST}"
                         for name in POISON.findall(text) if listed.get(name) != "DEAD_LETTERED"]
        for body in re.finditer(SKIPPED.get(path, r"(?!)"), text, re.S | re.M):
            skipped = re.findall(r'"(\w+)"', body[0])
            given.update(skipped)
            problems += [f"{path}:1: SKIPPED({name}) is not in {LIST}"
                         for name in skipped if listed.get(name) != "SKIPPED"]
    problems += [f"{LIST}:1: nobody gives the reason {name}"
                 for name in listed if name not in given]
    problems += [f"{PAGE}:1: does not explain the reason {name}" for name, macro in listed.items()
                 if macro != "REASON" and f"`{name}`" not in page]
    return problems


if __name__ == "__main__":
    finish(check(ROOT))
