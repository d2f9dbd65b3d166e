"""Nobody branches on the reason of an error, which is for people: its kind says what to do next.

A reason may be renamed, and a second place may use it for something else; no compiler sees either.
What an SQLSTATE means is known to pg/pg_error.c alone.
"""

import re

from lint import ROOT, files, finish, lines

# Exit codes are another way to print an error. In pg_error.c a lost connection, which has no
# SQLSTATE, differs from errors of ours by its reason alone: to become a kind.
EXCEPTIONS = {"consumer/pg/pg_error.c", "consumer/cli/command.c",
              "consumer/cli/cmd_migrate.c", "consumer/cli/cmd_run.c",
              "consumer/cli/cmd_replay_publish.c"}

NAME = r"\b\w*(?:err|error|failure|why|lost)\w*(?:->|\.)reason\b"
COMPARES = re.compile(r"\b(?:str(?:n|case|ncase)?cmp|strstr|strchr|slice_equal_cstr)"
                      rf"\((?:[^();]|\([^()]*\))*{NAME}|{NAME}\s*(?:[=!]=|\[)")


SQLSTATE = re.compile(r"\b(?:strn?cmp|memcmp)\([^;]*?\bsqlstate\b")


def check(root, exceptions=EXCEPTIONS):
    problems, used = [], set()
    for path in files(root, "consumer", "bench", ext=(".c", ".h")):
        text = "\n".join(lines(root, path))
        for found in SQLSTATE.finditer(text):
            if path != "consumer/pg/pg_error.c":
                number = text.count("\n", 0, found.start()) + 1
                problems.append(f"{path}:{number}: knows an SQLSTATE: see pg/pg_error.h")
        for found in COMPARES.finditer(text):
            if path in exceptions:
                used.add(path)
                continue
            number = text.count("\n", 0, found.start()) + 1
            problems.append(f"{path}:{number}: branches on the reason of an error: it needs a kind "
                            "of its own (base/error.h)")
    return problems + [f"tests/lint/reasons.py:1: {path} is no exception any more"
                       for path in sorted(set(exceptions) - used)]


if __name__ == "__main__":
    finish(check(ROOT))
