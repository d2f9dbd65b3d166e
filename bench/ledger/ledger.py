#!/usr/bin/env python3
"""Does the database hold what stations sent? Their ledger (bench/stations/README.md has the format)
is compared with the tables, row by row. The comparing is SQL, so that it shares nothing with the
code that stored the rows.

    bench/ledger/ledger.py run.jsonl "host=localhost dbname=ocpp user=ocpp"

Exits with 0 only if everything is there, once, unaltered; with 1 if not; with 2 if it cannot say.
"""

import os
import sys

import psycopg
from psycopg import sql

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import terminal  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
COLUMNS = ("expected", "stored", "lost", "doubled", "altered", "unexpected")


def run(cursor, name):
    with open(os.path.join(HERE, name + ".sql"), encoding="utf-8") as f:
        return cursor.execute(f.read())


def load(cursor, path):
    """The lines as they are; one that was cut off, because its writer was killed, is left out."""
    with open(path, "rb") as f, cursor.copy("COPY ledger FROM STDIN") as copy:
        for line in f:
            if line.endswith(b"\n") and line != b"\n":
                copy.write(line.replace(b"\\", b"\\\\").replace(b"\t", b"\\t"))


def compare(path, dsn, schema="ocpp"):
    """(whether all is right, the report)"""
    with psycopg.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("SET search_path = {}; SET TimeZone = 'UTC'").format(
            sql.Identifier(schema)))
        run(cursor, "tables")
        load(cursor, path)
        for name in ("expected", "stored", "compare"):
            run(cursor, name)
        kinds = run(cursor, "summary").fetchall()
        examples = run(cursor, "examples").fetchall()
    faults = [sum(column) for column in list(zip(*kinds))[3:]]
    lines = [f"{'':22}" + "".join(f" {name:>11}" for name in COLUMNS)]
    lines += [f"{kind:22}" + "".join(f" {count:>11}" for count in counts)
              for kind, *counts in kinds]
    lines.append("lost {}, doubled {}, altered {}, unexpected {}".format(*faults))
    lines += [terminal.shown(f"{fault} {kind}: {key} (message {m}): {content}")
              for kind, fault, key, m, content in examples]
    return not any(faults), "\n".join(lines)


def main():
    parser = terminal.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("ledger", help="what stations wrote by --ledger")
    parser.add_argument("dsn", help="the database, as libpq has it")
    parser.add_argument("--schema", default="ocpp", help="default: ocpp")
    options = parser.parse_args()
    try:
        right, report = compare(options.ledger, options.dsn, options.schema)
    except (OSError, psycopg.Error) as e:
        print(f"error: {terminal.shown(str(e))}", file=sys.stderr)
        return 2
    print(report)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
