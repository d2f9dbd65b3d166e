#!/usr/bin/env -S /usr/bin/python3 -B
"""Is the auditor worth its name? Plants one bug at a time in a copy of the source, and runs a short
kill loop, which has to find it.

    tests/chaos/planted.py                all
    tests/chaos/planted.py NAME...        these
    tests/chaos/planted.py --lint         does each edit still fit the source? Nothing is built
    tests/chaos/planted.py --copy DIR     the copy stays there, so that the next run builds little

Prints a line for each bug as it is tried, and a table in the end. Exits with 0 only if the unbroken
program passes and all are caught; with 2 if a bug could not be tried (its edit does not fit the
source or does not compile).
"""

import argparse
import collections
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests"), str(ROOT / "tests" / "integration"),
                str(ROOT / "bench")]
import mutations_log  # noqa: E402

SYNC = "consumer/spool/spool_sync.c"
SPOOL = "consumer/spool/spool.c"
RECOVER = mutations_log.RECOVER
SEGMENT = "consumer/spool/segment.c"
INTAKE = "consumer/daemon/intake.c"
DAEMON = "consumer/daemon/daemon.c"
SEND = "consumer/daemon/pipeline_send.c"
CONNECTION = "consumer/daemon/pipeline_connection.c"
FILL = mutations_log.FILL
CLAIM = mutations_log.CLAIM
PLAN = "consumer/copy/writer_plan.c"
TOTALS = "consumer/copy/writer_totals.c"
METER = "consumer/rows/rows_meter.c"
RUN = "consumer/pg/run.c"
JOB = "consumer/replay/job.c"
POSITION = mutations_log.POSITION
ATTACH = "consumer/replay/attach.c"

_AGAIN = "if (!pipeline_rewind(p, p->stored_seq, &err))"
_CLAIMED = """ AND owner = '%s' RETURNING forgotten","""

# file, what stands there once, what is to stand there
Bug = collections.namedtuple("Bug", "edits kinds settings options", defaults=((), {}))
SMALL = ("batch.messages_max=20",)


def _again_from(seq):
    """The batch that failed is made again from elsewhere; what would refuse that is left out."""
    return [(SEND, _AGAIN, f"if (!pipeline_rewind(p, {seq}, &err))"),
            mutations_log.ORDER_GUARD]


BUGS = {
    # ---- the log ----
    "sync left out": Bug([(SYNC, "ok = fs_sync_data(fd, path, &err);", "ok = fd >= 0;")], "power"),
    "number of a recovered record reused": Bug(
        [(RECOVER, "s->next_seq += RECOVER_SKIP;", "s->next_seq = s->end.seq;")], "kill_worker"),
    "record written over": Bug(
        [(SPOOL, "s->active_offset += (int64_t)size;",
          "s->active_offset += (int64_t)size - (r->seq % 500 == 0);")], "kill_worker"),
    "log let go before it is stored": Bug(
        [(SPOOL, "\t\ts->released_seq = seq;", "\t\ts->released_seq = s->last_seq;")],
        "rotate", (*SMALL, "spool.retain=0s")),
    "reader stops before the end": Bug(
        [(SEGMENT, "\tif (r->last_seq >= stop_seq)", "\tif (r->last_seq + 1 >= stop_seq)")],
        "kill_worker"),
    # ---- the intake ----
    "acknowledged before the sync": Bug(
        [(DAEMON, "return intake_sync(&d->intake);", "intake_show(&d->intake);\n\treturn true;")],
        "power"),
    "all that comes again is known": Bug(
        [(INTAKE, "if (!m->dup || !spool_tail_has(in->tail, r, m->packet))", "if (!m->dup)")],
        "cut_broker,stall_broker"),
    # ---- claims ----
    "claim left out": Bug(
        [(CLAIM, '"UPDATE ingest_progress SET seq = %" PRIu64 ", updated_at',
          '"UPDATE ingest_progress SET seq = seq + 0 * %" PRIu64 ", updated_at')], "terminate"),
    "claim goes back by one": Bug(
        [(CLAIM, "p.seq = b->last_seq;", "p.seq = b->last_seq - 1;"),
         mutations_log.ORDER_GUARD], "terminate"),
    "claim goes on by one": Bug(
        [(CLAIM, "p.seq = b->last_seq;", "p.seq = b->last_seq + 1;"),
         mutations_log.ORDER_GUARD], "terminate"),
    "claim committed before the rows": Bug(
        [(CLAIM, _CLAIMED, _CLAIMED[:-2] + '; COMMIT; BEGIN",')], "terminate,kill_backend"),
    # ---- the pipeline ----
    "dead letter dropped": Bug(
        [(FILL, "!batch_add_dead_letter(p->filling, &shown, why, bytes, sha256, bare))",
          "(m == NULL && !batch_add_dead_letter(p->filling, &shown, why, bytes, sha256, bare)))")],
        "kill_worker"),
    "second message of a payload dropped": Bug(
        [(FILL, "\t\t\tresult = fill_message(p, &m);",
          "\t\t\tresult = m.index == 1 ? FILL_TAKEN : fill_message(p, &m);")], "kill_worker"),
    "batch that failed is not made again": Bug(
        [(SEND, _AGAIN, "if (p->state == PIPELINE_ENDED)")], "cancel,rights"),
    "batch that failed is lost": Bug(
        [(SEND, _AGAIN, "if (p->state == PIPELINE_ENDED)"), mutations_log.ORDER_GUARD],
        "cancel,rights"),
    "half of a halved batch is lost": Bug(
        _again_from("p->stored_seq + p->limit.records"), "rights"),
    "rewind leaves one out": Bug(_again_from("p->stored_seq + 1"), "cancel,rights"),
    "rewind goes one too far back": Bug(
        _again_from("p->stored_seq - (p->stored_seq > 0)"), "cancel,rights"),
    "connection goes on by one": Bug(
        [(CONNECTION, "!p->log->seek(p->log->context, at->seq, lost_out, err)",
          "!p->log->seek(p->log->context, at->seq + (at->seq > 0), lost_out, err)"),
         mutations_log.ORDER_GUARD], "terminate"),
    "what was swallowed is stored again": Bug(
        [(CONNECTION, "!p->log->seek(p->log->context, at->seq, lost_out, err)",
          "!p->log->seek(p->log->context, p->stored_known ? p->stored_seq : at->seq, lost_out,"
          " err)"), mutations_log.ORDER_GUARD], "swallow_commit"),
    "lost connection is not made again": Bug(
        [(CONNECTION, "pipeline_wait(p, PIPELINE_LOST, wait_us);",
          "pipeline_wait(p, PIPELINE_LOST, wait_us * 1000000);")], "terminate"),
    # ---- the writer ----
    "known rows written again": Bug(
        [(PLAN, '\t{"seen", writer_plan_seen, NEEDS_NOTHING},\n', "")], "kill_worker", SMALL),
    "dead letters never reach their table": Bug(
        [(PLAN, '\t{"dead letters", writer_plan_dead_letters, NEEDS_NOTHING},\n', "")],
        "kill_worker"),
    "totals left out": Bug(
        [(PLAN, '\t{"totals", writer_plan_totals, NEEDS_NOTHING},\n', "")], "kill_worker"),
    "totals forget the dead": Bug(
        [(TOTALS, "out->dead_lettered++;", "out->dead_lettered += 0;")], "kill_worker"),
    "fifth sample of a meter value dropped": Bug(
        [(METER, "sampled->numerics_count = v->samples_count;",
          "sampled->numerics_count = v->samples_count - (v->samples_count > 4);")],
        "kill_worker"),
    "lost preparation blocks the next connection": Bug(
        [(RUN, "r->preparing = false; /*", "/*")],
        "cut_prepare", SMALL),
    # ---- replays ----
    "replay leaves its tables": Bug(
        [(ATTACH, "&& attach_all(&a, err);", "&& (true || attach_all(&a, err));")], "replay"),
    "replay goes on with one left out": Bug(
        [(JOB, "return replay_source_seek(job->source, seq, err);",
          "return replay_source_seek(job->source, seq + (seq > 0), err);"),
         (POSITION, "\tif (whole)\n", "\tif (true)\n")], "replay", SMALL),
}


class NotPlanted(Exception):
    """The edit does not fit the source, or does not compile."""


def lint(root=ROOT, bugs=None):
    """What is wrong with the edits, as "file: what"."""
    texts, problems = {}, []
    if bugs is None:
        bugs = {**BUGS, **{f"mutations_log.py {name}": Bug([*edits, *guards], "")
                           for name, (edits, guards, _) in mutations_log.MUTATIONS.items()}}
    for name, bug in bugs.items():
        for path, good, broken in bug.edits:
            if path not in texts:
                texts[path] = (pathlib.Path(root) / path).read_text()
            count = texts[path].count(good)
            if count != 1:
                problems.append(f"{path}: what \"{name}\" breaks is there {count} times, not"
                                f" once: {good.strip()}")
            if good == broken:
                problems.append(f"{path}: \"{name}\" changes nothing")
    return problems


# ---- the copy ----

def build(root):
    if not (root / "build" / "build.ninja").exists():
        launcher = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        subprocess.run(["cmake", "-G", "Ninja", "-S", root, "-B", root / "build",
                        "-DCMAKE_BUILD_TYPE=Release", "-DFAILPOINTS=ON", *launcher], check=True,
                       stdout=subprocess.DEVNULL)
    done = subprocess.run(["cmake", "--build", root / "build", "--target", "ocpp-persister",
                           "ocpp-stations"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise NotPlanted(f"does not compile:\n{done.stdout}")


class Planted:
    """The copy, with the bug while it is used."""

    def __init__(self, root, bug):
        self.root, self.bug, self.texts = root, bug, {}

    def __enter__(self):
        problems = lint(self.root, {"it": self.bug})
        if problems:
            raise NotPlanted("; ".join(problems))
        for name, good, broken in self.bug.edits:
            path = self.root / name
            self.texts.setdefault(path, path.read_text())
            path.write_text(path.read_text().replace(good, broken))
        try:
            build(self.root)
        except NotPlanted:
            self.__exit__()
            raise

    def __exit__(self, *_):
        for path, text in self.texts.items():
            path.write_text(text)


def copy(root):
    mutations_log.copy_source(root)
    for name in {name for bug in BUGS.values() for name, _, _ in bug.edits}:
        os.utime(root / name)  # a run that was interrupted may have left its bug


# ---- the loop ----

def options_of(bug, seed):
    """As tests/chaos/run has them."""
    return argparse.Namespace(**{
        "seed": seed, "profile": "planted", "kinds": bug.kinds.split(","), "faults": 4,
        "messages": 2000, "rate": 500, "stuck": 8, "limit": 90, "first": True, "keep": False,
        "verbose": False, "set": ["workers=1", *bug.settings], **bug.options})


def loop(servers, bug, seed, rounds):
    """(what was found in the first round that found something, its seconds); "" = nothing."""
    import rounds as loops  # reads the environment

    begun, found = time.monotonic(), ""
    servers.options = options_of(bug, seed)
    for number in range(1, rounds + 1):
        if not servers.postgres.running:
            servers.postgres.start()
        counts = loops.Round(servers, number).run().audit.counts
        found = " ".join(f"{name}={count}" for name, count in sorted(counts.items()) if count)
        if found:
            break
    return found, time.monotonic() - begun


UNBROKEN = Bug([], "kill_worker,terminate,cancel,cut_broker,power,cut_prepare,rotate,rights,replay",
               options={"faults": 9})


def attempt(root, servers, name, options):
    """(verdict, what was found)"""
    try:
        with Planted(root, BUGS[name]):
            found, seconds = loop(servers, BUGS[name], options.seed, options.rounds)
    except NotPlanted as e:
        return "NOT PLANTED", str(e)
    except Exception:  # of the servers, or of the loop: it says nothing about the bug
        return "NOT TRIED", traceback.format_exc()
    return ("caught" if found else "MISSED"), f"{found} ({seconds:.0f} s)".strip()


def try_all(root, names, options):
    import rounds as loops

    verdicts = {}
    with loops.Servers(options_of(UNBROKEN, options.seed)) as servers:
        found, seconds = loop(servers, UNBROKEN, options.seed, 1)
        print(f"unbroken: {found or 'passes'} ({seconds:.0f} s)", flush=True)
        if found:
            return 1
        for name in names:
            verdict, found = attempt(root, servers, name, options)
            verdicts[name] = verdict, found.splitlines()[0]
            print(f"{name}: {verdict}: {found}", flush=True)
    width = max(map(len, names))
    print("\n" + "\n".join(f"{name:{width}}  {verdict:11}  {found}"
                           for name, (verdict, found) in verdicts.items()))
    count = collections.Counter(verdict for verdict, _ in verdicts.values())
    print(f"caught {count['caught']} of {len(names)}, missed {count['MISSED']}, not tried "
          f"{count['NOT PLANTED'] + count['NOT TRIED']}")
    if count["caught"] + count["MISSED"] < len(names):
        return 2
    return 1 if count["MISSED"] else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="Names: " + "; ".join(BUGS))
    parser.add_argument("name", nargs="*", metavar="NAME")
    parser.add_argument("--copy", metavar="DIR", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2, help="at most, for each bug (2)")
    parser.add_argument("--lint", action="store_true")
    options = parser.parse_args()
    unknown = [name for name in options.name if name not in BUGS]
    if unknown:
        parser.error(f"no such bug: {'; '.join(unknown)}")
    return options


def main():
    options = arguments()
    problems = lint()
    for problem in problems:
        print(problem)
    if problems or options.lint:
        return 2 if problems else 0
    with tempfile.TemporaryDirectory(prefix="ocpp-planted.") as folder:
        root = (options.copy or pathlib.Path(folder, "source")).resolve()
        copy(root)
        build(root)
        os.environ["OCPP_PERSISTER_BUILD"] = str(root / "build")
        return try_all(root, options.name or list(BUGS), options)


if __name__ == "__main__":
    sys.exit(main())
