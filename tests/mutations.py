#!/usr/bin/env python3
"""Is the property test worth its name? Breaks the merge of one column of transactions after the
other, each rule by which sessions of one id are told apart, and those for clocks that are not set,
for answers that are late or repeated, and for messages in several forms, in a copy of the source.
Expects integration/test_property.py to fail for each.

Prints a line per mutation; exits 0 only if all are caught, and the unbroken program passes.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[1]
SOURCE = "consumer/rows/transaction.c"
FACTS = "consumer/rows/transaction.def"

# Columns that are computed: what of the merge is left out.
COMPUTED = {
    "first_event_at": ("transaction_see_time(into, from_cells[TABLE_transactions_first_event_at]"
                       ".number);", ";"),
    "last_event_at": ("transaction_see_time(into, from_cells[TABLE_transactions_last_event_at]"
                      ".number);", ";"),
    "seq_no_missing": ("return transaction_merge_ranges(into, from, arena);",
                       "return into->ranges_count > 0 ||"
                       " transaction_merge_ranges(into, from, arena);"),
    "flags": ("flags->number |= FLAG_duplicate_stop;", "flags->number |= 0;"),
    "partition_time": ("start->present && start->number != TIME_UNDATED ? start->number",
                       "cells[TABLE_transactions_partition_time].present"
                       " ? cells[TABLE_transactions_partition_time].number"),
}

ROWS = "consumer/rows/rows.c"
ROW = "consumer/rows/rows_row.c"
NAMES = "consumer/rows/rows_names.c"
PAIRING = "consumer/copy/pairing.c"
PAIRS = "consumer/copy/writer_pairs.c"
NEAR = "consumer/copy/writer_near.c"
PAIR_NAMES = "consumer/copy/writer_names.c"
AUTHORIZE = "consumer/copy/sql/authorize.sql"
SESSIONS = "consumer/rows/sessions.c"
MERGED = "consumer/copy/writer_transactions.c"

# Rules of sessions whose id was used again: (file, text, broken text).
RULES = {
    "rule_order": (SESSIONS, "qsort(facts, count, sizeof(*facts), order_facts);",
                   "qsort(facts, 0, sizeof(*facts), order_facts);"),
    "rule_connector": (SESSIONS, "if (same_place(s->open[i]->fact, f) &&",
                       "if (false && same_place(s->open[i]->fact, f) &&"),
    "rule_token": (SESSIONS, "count = keep_fitting(room, count, f, token_fits);",
                   "(void)keep_fitting(room, 0, f, token_fits);"),
    "rule_ended": (SESSIONS, "session->open &= !f->end;", ";"),
    "rule_ambiguous": (SESSIONS, "if (count > 1 && f->end) {", "if (count > SIZE_MAX - 1) {"),
    "rule_all_ended": (SESSIONS, "if (s->ambiguous == 0 || s->ambiguous < s->open_count)",
                       "if (s->open_count < SIZE_MAX)"),
    "rule_fresh": (SESSIONS, "alone &= s->open_count == 0 &&", "alone &="),
    "rule_several_starts": (SOURCE, "into->resplit = true;", ";"),
    "rule_look_alike": (SESSIONS, "if (ended)", "if (ended && count > SIZE_MAX - 1)"),
    "rule_look_alike_later": (SOURCE, "into->resplit |= again && (", "into->resplit |= false && ("),
    "id_as_float": (ROW, "if (v->kind == VALUE_NUMBER && f->type == COLUMN_TEXT &&",
                    "if (f == NULL && f->type == COLUMN_TEXT &&"),
    "rule_shared_id": (SOURCE, 'static const char accepted[] = "Accepted";',
                       'static const char accepted[] = "none";'),
    # Clocks that are not set.
    "invalid_time_counts": (ROW, "(t.source == 'i' || (t.flags", "(t.source == 'x' || (t.flags"),
    "future_time_counts": (ROW, "(t.source == 'i' || (t.flags & FLAG_time_future) != 0))",
                           "t.source == 'i')"),
    "invalid_time_has_no_key": (ROW, "return source == 'r' || source == 'i';",
                                "return source == 'r';"),
    "invalid_time_window": (ROW, "return row_received_us(row) / (dedupe_window_us > 0",
                            "return 0 * row_received_us(row) / (dedupe_window_us > 0"),
    # Answers that are late, or repeated.
    "late_answer": (PAIRING, "found = find_late(t, r, limits);",
                    "found = limits->keep_us < 0 ? find_late(t, r, limits) : found;"),
    "late_answer_alone": (PAIRING, "if (h->is_call && *call != NULL && !half_is_copy(h, *call))",
                          "if (h->is_call && *call != NULL && limits == NULL)"),
    "late_answer_reach": (NEAR, "PAIRING_REACH * w->options", "1 * w->options"),
    "late_answer_beside_another": (PAIRING, "if (!h->is_call && !half_is_copy(h, r))",
                                   "if (!h->is_call && limits == NULL)"),
    "answer_of_a_copy": (PAIRING, "if (!r->fresh || r->known)",
                         "if (!r->fresh || f->limits == NULL)"),
    "last_answer": (AUTHORIZE, "OR (p.received_at, p.result_digest) > (",
                    "OR (p.received_at, p.result_digest) < ("),
    "last_answer_of_batch": (AUTHORIZE, "p.digest, p.received_at DESC,",
                             "p.digest, p.received_at,"),
    "last_answer_in_row": (PAIRS, "return other > has;", "return other < has;"),
    "early_answer": (PAIRING, "return pair_of(call, r, LINK_BEFORE);", "return no_pair(r);"),
    # One message in several forms.
    "form_identity": (ROWS, "if (former || !rows_is_answer(m))", "if (former || m != NULL)"),
    "form_absent": (ROWS, "if (!former || !w->was_absent)", "if (!w->was_absent)"),
    "form_name_of_call": (PAIR_NAMES, "if (!half_wants_name(p->result) ||",
                          "if (half_wants_name(p->result) ||"),
    "form_name_of_copy": (PAIR_NAMES, "if (!row->dropped || !row_is_answer(row) ||",
                          "if (row != NULL || !row_is_answer(row) ||"),
    "rule_flags_wait": (MERGED, "if (PQgetisnull(result, i, READ_FLAGS))", "if (i >= 0)"),
    "rule_cost_waits": (MERGED, "if (PQgetisnull(result, i, READ_COST))", "if (i >= 0)"),
}


def mutations(root):
    """{column: (file, text, broken text)}: a fact is taken from whatever came last."""
    facts = re.findall(r"^FACT\((\w+),", (root / FACTS).read_text(), re.MULTILINE)
    taken = "if (takes[transaction_facts[i].group])"
    broken = {**{column: (taken, taken[:-1] + " || transaction_facts[i].column =="
                          f" TABLE_transactions_{column})") for column in facts}, **COMPUTED}
    return {**{column: (SOURCE, *texts) for column, texts in broken.items()}, **RULES}


def build(root, first=False):
    if first:
        subprocess.run(["cmake", "--preset", "dev"], cwd=root, check=True,
                       stdout=subprocess.DEVNULL)
    done = subprocess.run(["cmake", "--build", "build/dev", "--target", "ocpp-persister"],
                          cwd=root, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(done.stdout)


def passes(root):
    env = {**os.environ, "OCPP_PERSISTER_BUILD": str(root / "build/dev"),
           "PROPERTY_SHRINK": "0", "PROPERTY_WAIT": "60"}
    done = subprocess.run(["/usr/bin/python3", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider",
                           "tests/integration/test_property.py"], cwd=root, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # A difference, or a transaction that cannot be written; not a program that does not work.
    found = re.search(r"Failed: (\d+ of \d+ histories) differ", done.stdout)
    stuck = re.search(r"TimedOut: after 60 s: \d+ messages", done.stdout)
    if done.returncode != 0 and not found and not stuck:
        sys.exit(f"it failed, but found no difference:\n{done.stdout}")
    return done.returncode == 0, found.group(1) if found else "getting stuck"


def main():
    table = mutations(ROOT)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Names:\n" + textwrap.fill(" ".join(table), break_on_hyphens=False))
    parser.add_argument("name", nargs="*", metavar="NAME",
                        help="a column or rule; without any all (some 20 minutes)")
    names = parser.parse_args().name or list(table)
    unknown = [name for name in names if name not in table]
    if unknown:
        parser.error(f"no such column or rule: {' '.join(unknown)}")
    survivors = []
    with tempfile.TemporaryDirectory(prefix="ocpp-mutations.") as folder:
        root = pathlib.Path(folder, "source")
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True,
                               stdout=subprocess.PIPE, text=True).stdout.split("\0")
        for name in filter(None, files):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
        build(root, first=True)
        if not passes(root)[0]:
            sys.exit("the unbroken program fails")
        print("unbroken: passes", flush=True)
        for column in names:
            source, good, broken = table[column]
            text = (root / source).read_text()
            if text.count(good) != 1:
                sys.exit(f"{column}: what is to be broken is not in {source} once: {good}")
            (root / source).write_text(text.replace(good, broken))
            build(root)
            survived, how = passes(root)
            (root / source).write_text(text)
            print(f"{column}: {'NOT CAUGHT' if survived else f'caught by {how}'}",
                  flush=True)
            survivors += [column] if survived else []
    print(f"{len(survivors)} not caught" if survivors else "all caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
