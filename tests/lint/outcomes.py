"""Every reason for which a message is not stored is in consumer/base/outcomes.def, and each that is
there is given somewhere, and explained in docs/operating.md.

A reason that is missing would have no counter until it occurs for the first time, and an alert on
the increase of a counter does not see its first value. Reasons are found where errors of kind
POISON are made, in the folders that a message passes through, and by the functions below.
"""

import re

from lint import ROOT, files, finish, lines

FOLDERS = ("decode", "rows", "copy", "daemon", "pg")
LIST = "consumer/base/outcomes.def"
PAGE = "docs/operating.md"

# error_set(err, ERROR_POISON, "reason", ...), and rows of the table of SQLSTATEs in pg/.
POISON = re.compile(r"\bERROR_POISON,(?:\s*PG_\w+,)?\s*([^,}]+)[,}]")
ASSIGNED = re.compile(r"(?:->|\.)reason = [^;]*?\"(\w+)\"")

# Where the reason is no literal: what calls that place with one.
PASSED_ON = {
    ("consumer/decode/decode_json.c", "p->bad_reason"): r'\bjson_stop\(\w+, ("\w+")',
    ("consumer/decode/decode_msgpack.c", "reason"): r'\bguard_error\(\w+, \w+, ("\w+")',
    ("consumer/daemon/poison.c", "p->reason"): r'\breason : ("\w+")',
}

# Assigned to errors that set no message aside: the table of dead letters refuses one.
NO_OUTCOME = {"dead_letters_refused"}

SKIPPED = {"consumer/rows/rows.c": r"^static const char \*rows_skip\(.*?^\}",
           "consumer/rows/rows_expiry.c": r"->skipped = [^;]*;",
           "consumer/daemon/pipeline_fill.c": r"\.skipped = [^;]*;"}


def given(root):
    """({reason: where} of dead letters, the same of what is skipped, problems)"""
    dead, skipped, problems = {}, {}, []
    for path in files(root, *(f"consumer/{folder}" for folder in FOLDERS), ext=(".c", ".h")):
        text = "\n".join(lines(root, path))

        def where(found):
            return f"{path}:{text.count(chr(10), 0, found.start()) + 1}"

        for found in POISON.finditer(text):
            reason = found[1].strip()
            calls = PASSED_ON.get((path, reason))
            if reason.startswith('"'):
                dead.setdefault(reason.strip('"'), where(found))
            elif calls is None:
                problems.append(f"{where(found)}: the reason is no literal: "
                                "tests/lint/outcomes.py has to know who says it")
            else:
                for call in re.finditer(calls, text):
                    dead.setdefault(call[1].strip('"'), where(call))
        if path.startswith("consumer/daemon/"):
            for found in ASSIGNED.finditer(text):
                if found[1] not in NO_OUTCOME:
                    dead.setdefault(found[1], where(found))
        for body in re.finditer(SKIPPED.get(path, r"(?!)"), text, re.S | re.M):
            for found in re.finditer(r'"(\w+)"', body[0]):
                skipped.setdefault(found[1], f"{path}:1")
    return dead, skipped, problems


def check(root):
    known = "\n".join(lines(root, LIST))
    page = "\n".join(lines(root, PAGE))
    *found, problems = given(root)
    for macro, reasons in zip(("DEAD_LETTERED", "SKIPPED"), found):
        listed = re.findall(rf'^{macro}\("(\w+)"\)$', known, re.M)
        problems += [f"{place}: {macro}(\"{reason}\") is not in {LIST}"
                     for reason, place in sorted(reasons.items()) if reason not in listed]
        problems += [f"{LIST}:1: nothing gives the reason {reason}"
                     for reason in listed if reason not in reasons]
        problems += [f"{PAGE}:1: does not explain the reason {reason}"
                     for reason in listed if f"`{reason}`" not in page]
        if listed != sorted(set(listed)):
            problems.append(f"{LIST}:1: {macro} is not in alphabetical order")
    return problems


if __name__ == "__main__":
    finish(check(ROOT))
