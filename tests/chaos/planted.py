#!/usr/bin/env -S /usr/bin/python3 -B
"""Is the auditor worth its name? Plants one bug after the other in a copy of the source, and runs a
short kill loop, which has to find it.

    tests/chaos/planted.py                all
    tests/chaos/planted.py NAME...        these
    tests/chaos/planted.py --copy DIR     the copy stays there, so that the next run builds little

Prints a line for each bug; exits with 0 only if the unbroken program passes and all are caught.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import mutations_log  # noqa: E402

SYNC = "consumer/spool/spool_sync.c"
SPOOL = "consumer/spool/spool.c"
SEGMENT = "consumer/spool/segment.c"
INTAKE = "consumer/daemon/intake.c"
DAEMON = "consumer/daemon/daemon.c"
PIPELINE = "consumer/daemon/pipeline.c"
FILL = mutations_log.FILL
CLAIM = mutations_log.CLAIM
SESSION = "consumer/pg/session.c"
ATTACH = "consumer/replay/attach.c"

_FAILED_BATCH = (PIPELINE, "if (!pipeline_rewind(p, p->stored_seq, &err))",
                 "if (p->state == PIPELINE_ENDED)")

# name: (edits, kinds of faults, more options of the loop)
BUGS = {
    "sync left out": ([(SYNC, "ok = fs_sync_data(fd, path, &err);", "ok = fd >= 0;")],
                      "power", []),
    "acknowledged before the sync": (
        [(DAEMON, "return intake_sync(&d->intake);", "intake_show(&d->intake);\n\treturn true;")],
        "power", []),
    "claim left out": (
        [(CLAIM, '"UPDATE ingest_progress SET seq = %" PRIu64 ", updated_at',
          '"UPDATE ingest_progress SET seq = seq + 0 * %" PRIu64 ", updated_at')],
        "kill_worker,terminate", []),
    "claim goes back by one": ([(CLAIM, "p.seq = b->last_seq;", "p.seq = b->last_seq - 1;")],
                               "kill_worker,terminate", []),
    "claim goes on by one": ([(CLAIM, "p.seq = b->last_seq;", "p.seq = b->last_seq + 1;"),
                              mutations_log.ORDER_GUARD], "kill_worker,terminate", []),
    "all that comes again is known": (
        [(INTAKE, "if (!m->dup || !spool_tail_has(in->tail, r, m->packet))", "if (!m->dup)")],
        "cut_broker,stall_broker,cut_broker_after", []),
    "dead letter dropped": ([(FILL, "return batch_add_dead_letter(p->filling",
                              "return m != NULL || batch_add_dead_letter(p->filling")],
                            "kill_worker", []),
    "batch that failed is not made again": ([_FAILED_BATCH], "terminate,cancel", []),
    "batch that failed is lost": ([_FAILED_BATCH, mutations_log.ORDER_GUARD],
                                  "terminate,cancel", []),
    "reader stops before the end": (
        [(SEGMENT, "\tif (r->last_seq >= stop_seq)", "\tif (r->last_seq + 1 >= stop_seq)")],
        "kill_worker", []),
    "record written over": (
        [(SPOOL, "s->active_offset += (int64_t)size;",
          "s->active_offset += (int64_t)size - (r->seq % 500 == 0);")], "kill_worker", []),
    "number of a recovered record reused": (
        [*mutations_log.MUTATIONS["numbering"][0], mutations_log.COPY_GUARD],
        "kill_worker,end_worker,power", []),
    "lost preparation blocks the next connection": (
        [(SESSION, "s->preparing = false; /* a connection that was lost may have left it */", ";")],
        "cut_database_after,cut_database,terminate", ["--faults", "10"]),
    "replay leaves its tables": (
        [(ATTACH, "&& attach_all(&a, err);", "&& (true || attach_all(&a, err));")],
        "replay", []),
    "log let go before it is stored": (
        [(SPOOL, "\t\ts->released_seq = seq;", "\t\ts->released_seq = s->last_seq;")],
        "refuse_database,kill_worker", ["--messages", "16000", "--rate", "1500"]),
    "totals forget the dead": (
        [("consumer/copy/writer_totals.c", "out->dead_lettered++;", "out->dead_lettered += 0;")],
        "kill_worker", []),
}


def build(root):
    if not (root / "build").exists():
        subprocess.run(["cmake", "-G", "Ninja", "-S", root, "-B", root / "build",
                        "-DCMAKE_BUILD_TYPE=Release", "-DFAILPOINTS=ON"], check=True,
                       stdout=subprocess.DEVNULL)
    done = subprocess.run(["cmake", "--build", root / "build", "--target", "ocpp-persister",
                           "ocpp-stations"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(done.stdout)


def loop(root, seed, kinds, more, rounds):
    """(whether it found nothing, its last line)"""
    done = subprocess.run(
        [ROOT / "tests/chaos/run", "--rounds", str(rounds), "--seed", str(seed), "--kinds", kinds,
         "--faults", "4", "--messages", "2000", "--stuck", "8", "--limit", "90", "--until-bad",
         "--build", root / "build", *more],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    totals = [line for line in done.stdout.splitlines() if line.startswith("rounds=")]
    if not totals:
        sys.exit(f"the loop itself failed:\n{done.stdout}{done.stderr}")
    found = re.findall(r"\b(?!rounds|faults)\w+=[1-9]\d*", totals[0])
    return done.returncode == 0, " ".join(found)


class Planted(mutations_log.Broken):
    """The copy, with the bug while it is used."""

    def __enter__(self):
        mutations_log.build = build  # with failpoints, and without sanitizers
        return super().__enter__()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="Names: " + "; ".join(BUGS))
    parser.add_argument("name", nargs="*", metavar="NAME")
    parser.add_argument("--copy", metavar="DIR", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2, help="for each bug (2)")
    options = parser.parse_args()
    names = options.name or list(BUGS)
    unknown = [name for name in names if name not in BUGS]
    if unknown:
        parser.error(f"no such bug: {'; '.join(unknown)}")
    caught = 0
    with tempfile.TemporaryDirectory(prefix="ocpp-planted.") as folder:
        root = options.copy or pathlib.Path(folder, "source")
        mutations_log.copy_source(root)
        for name in {name for edits, _, _ in BUGS.values() for name, _, _ in edits}:
            os.utime(root / name)  # a run that was interrupted may have left its bug
        build(root)
        right, found = loop(root, options.seed, "kill_worker,terminate,cut_broker,power", [], 1)
        print(f"unbroken: {'passes' if right else found}", flush=True)
        if not right:
            return 1
        for name in names:
            edits, kinds, more = BUGS[name]
            with Planted(root, edits):
                missed, found = loop(root, options.seed, kinds, more, options.rounds)
            caught += not missed
            print(f"{name}: {'NOT CAUGHT' if missed else f'caught: {found}'}", flush=True)
    print(f"caught {caught} of {len(names)}")
    return 0 if caught == len(names) else 1


if __name__ == "__main__":
    sys.exit(main())
