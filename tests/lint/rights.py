"""What a writer lacks is found by two statements: at its start (writer_rights.c), and by `migrate
roles` (roles.sql). One asks for what it needs, the other gives what the role is to have: a table or
function in the first list is in the second, with the same rights, and what is only in the second is
named here. test_roles.py compares the second with the migrations.
"""

import os
import re

from lint import ROOT, finish

NEEDS = "consumer/copy/writer_rights.c"
GIVES = "consumer/migrate/sql/roles.sql"

# For the store's library, retention, and what is done once after a migration.
BEYOND = {"store_transactions", "store_transaction_values", "retire_partition", "drop_retired",
          "station_backfill"}
# A worker only reads it; `forget` writes.
LESS = {"forgotten_tokens"}

TABLES = re.compile(r"'((?:SELECT|,|INSERT|UPDATE|DELETE)+)' FROM unnest\(ARRAY\[([^\]]*)\]"
                    r"|(?:VALUES \(|UNION ALL SELECT )'(\w+)', '([A-Z,]+)'")
FUNCTIONS = re.compile(r"proname (?:IN|= ANY) \((?:ARRAY\[)?([^\])]*)")


def listed(root, path):
    """name -> its rights: of tables in words, of functions EXECUTE."""
    with open(os.path.join(root, path), encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/|--[^\n]*", "", f.read(), flags=re.S)
    if path.endswith(".c"):
        text = re.sub(r'"\s*"', "", text)
    found = {}
    for rights, names, name, own in TABLES.findall(text):
        found.update(dict.fromkeys(re.findall(r"\w+", names), rights) if names else {name: own})
    for names in FUNCTIONS.findall(text):
        found.update(dict.fromkeys(re.findall(r"\w+", names), "EXECUTE"))
    return found


def check(root):
    needs, gives = listed(root, NEEDS), listed(root, GIVES)
    problems = [f"{path}:1: no rights are found in it" for path, found in
                ((NEEDS, needs), (GIVES, gives)) if len(set(found.values())) < 3]
    problems += [f"{GIVES}:1: {name} is not there with {rights}, as {NEEDS} needs it"
                 for name, rights in needs.items()
                 if gives.get(name) != rights and not (name in LESS and name in gives)]
    problems += [f"{NEEDS}:1: {name} is not there, and is in {GIVES}"
                 for name in gives if name not in needs and name not in BEYOND]
    problems += [f"tests/lint/rights.py:1: {name} is no exception any more"
                 for name in BEYOND & needs.keys() | BEYOND - gives.keys()
                 | {n for n in LESS if gives.get(n) == needs.get(n)}]
    return problems


if __name__ == "__main__":
    finish(check(ROOT))
