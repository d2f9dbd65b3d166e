"""Replay of a packed log: its speed compared with COPY from memory, and its effect on live
messages."""

import json
import os
import statistics
import subprocess
import time

import mqtt_probe
import rig


class Running:
    """`ocpp-persister replay --json`, and what it cost when it has ended."""

    def __init__(self, b, database, *arguments):
        options = (f"--{k}={v}" for k, v in b.postgres.settings(database).items())
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [b.persister.binary, *options, "replay", "--json", *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def end(self):
        """The summary, with seconds, CPU seconds, and the largest RSS of its processes in MiB."""
        summary = json.loads(self.process.stdout.read())
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode != 0:
            raise rig.RigError(f"replay ended with {self.process.returncode}: {summary}")
        return {**summary, "seconds": time.monotonic() - self.began,
                "cpu": usage.ru_utime + usage.ru_stime, "rss_peak_mib": usage.ru_maxrss / 1024}


def pack(b):
    """Drain the log, and wait until all of it but the last segment is packed. Returns the log."""
    b.new_database("drained").start()
    b.persister.wait_metric("ocpp_persister_backlog_records", lambda left: left == 0, 600)

    def packed():
        archived = b.persister.metric("ocpp_persister_spool_archived_segments")
        return archived == b.persister.metric("ocpp_persister_spool_segments") - 1

    rig.wait_until(packed, 600, "the log is packed")
    b.persister.stop()
    return b.persister.settings["spool.dir"]


MESSAGES_PER_COMMIT = 10_000  # batch.messages_max, times two
GAIN_WANTED = 1.5  # by loading days before they are partitions
RUNS = {"1_job": ("--jobs", 1), "1_job_no_bulk": ("--jobs", 1, "--no-bulk"),
        "2_jobs": ("--jobs", 2), "2_jobs_no_bulk": ("--jobs", 2, "--no-bulk")}


def copy(b, limit, log, name):
    """The limit: the same rows from memory into the same partitions with the same index."""
    b.new_database(name)
    before = rig.cpu_seconds(b.postgres.pid)
    done = subprocess.run([limit, "--spool", log, "--conninfo", b.postgres.dsn(name),
                           "--rows-per-commit", str(MESSAGES_PER_COMMIT)],
                          check=True, stdout=subprocess.PIPE)
    found = json.loads(done.stdout)
    used = rig.cpu_seconds(b.postgres.pid) - before
    return {**found, "postgres_cpu_us": used * 1e6 / found["rows"]}


def replay(b, limit, messages):
    """b: servers, and a persister with a full log; limit: the program to compare with."""
    log = pack(b)
    limits = [copy(b, limit, log, "limited_before")]
    files = subprocess.run([b.persister.binary, f"--spool.dir={log}", "spool", "ls", "--json"],
                           check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    files = [f for f in map(json.loads, files) if f["file"].endswith(".zst")]
    records = sum(f["records"] for f in files)
    rows = limits[0]["rows"]
    figures = {"rows": rows, "rss_peak_mib": 0,
               "packed_bytes": sum(f["bytes"] for f in files) / records,
               "bytes": sum(f["unpacked"] for f in files) / records}
    for name, arguments in RUNS.items():
        b.new_database("replayed_" + name)
        backend = rig.cpu_seconds(b.postgres.pid)
        ended = Running(b, "replayed_" + name, *arguments, log).end()
        if ended["records"] != messages or ended["stored"] + ended["skipped"] != messages:
            raise rig.RigError(f"replay did not store everything: {ended}")
        if (ended["loaded_partitions"] == 0) != ("--no-bulk" in arguments):
            raise rig.RigError(f"replay took the other way: {ended}")
        figures[name] = {
            "rows_per_second": rows / ended["seconds"],
            "cpu_us": ended["cpu"] * 1e6 / rows,
            "postgres_cpu_us": (rig.cpu_seconds(b.postgres.pid) - backend) * 1e6 / rows,
            "loaded_rows": ended["loaded_rows"]}
        figures["rss_peak_mib"] = max(figures["rss_peak_mib"], ended["rss_peak_mib"])
    # Before and after the runs: the machine may be slower than it was.
    limits.append(copy(b, limit, log, "limited_behind"))
    figures["limit_rows_per_second"] = statistics.mean(c["rows_per_second"] for c in limits)
    figures["limit_cpu_us"] = statistics.mean(c["postgres_cpu_us"] for c in limits)
    return figures


def beside(b, seconds):
    """Publish to visible at 1,000 messages a second, while the log of b is replayed over and over
    into the same database: first rows that are new, then rows that are there."""
    log = pack(b)
    b.new_database("live")
    b.persister.settings["spool.dir"] = log + ".live"
    b.start()
    fleet = b.fleet("--format", "mixed", "--rate", 1000, "--seconds", seconds + 4)
    running = Running(b, "live", log)
    times = []
    replayed = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        times += mqtt_probe.publish_to_visible(b.broker.port, b.postgres.dsn("live"), 1,
                                               first=len(times))
        if running.process.poll() is not None:
            replayed += 1
            running = Running(b, "live", log)
    running.process.kill()
    running.process.wait()
    fleet.communicate()
    return {"p50_ms": statistics.median(times) * 1e3,
            "p99_ms": sorted(times)[len(times) * 99 // 100] * 1e3,
            "max_ms": max(times) * 1e3, "probes": len(times), "replays": replayed,
            "rss_peak_mib": b.persister.rss_peak_kib() / 1024}


def tell_bound(f):
    """Why loading is not as much faster as it was meant to be: the least that a row takes."""
    ours, theirs = f["1_job"]["cpu_us"], f["1_job"]["postgres_cpu_us"]
    cores = len(os.sched_getaffinity(0))
    wanted = 1e6 / f["1_job_no_bulk"]["rows_per_second"] / GAIN_WANTED
    print(f"""    ({GAIN_WANTED} would be {wanted:.1f} us a row; our thread needs {ours:.1f},
    and with PostgreSQL's {theirs:.1f} the {cores} cores need {(ours + theirs) / cores:.1f})""")


def tell_replay(what, f):
    limit = f["limit_rows_per_second"]
    gain = f["1_job"]["rows_per_second"] / f["1_job_no_bulk"]["rows_per_second"]
    print(f"""
replay of a packed log of five days of the past, {what}: {f["rows"]:,.0f} rows, of which \
{f["1_job"]["loaded_rows"]:,.0f} of days without a partition
(a message has {f["bytes"]:.0f} bytes, packed {f["packed_bytes"]:.0f})
  COPY from memory        {limit:>10,.0f} rows/s of the same rows (the limit)
    CPU per row, PostgreSQL{f["limit_cpu_us"]:>9.1f} us""")
    for name in RUNS:
        run = f[name]
        rate = run["rows_per_second"]
        print(f"""  {name.replace("_", " ", 1).replace("_no_bulk", ", --no-bulk"):<23} \
{rate:>10,.0f} rows/s, ratio {rate / limit:.2f}
    CPU per row           {run["cpu_us"]:>10.1f} us; PostgreSQL {run["postgres_cpu_us"]:.1f} us""")
    print(f"""  loading : --no-bulk     {gain:>10.2f}""")
    if gain < GAIN_WANTED:
        tell_bound(f)
    print(f"""  largest RSS of a job    {f["rss_peak_mib"]:>10.1f} MiB""")


def tell_beside(f):
    print(f"""
publish to visible at 1,000 messages/s, beside a replay at full speed ({f["probes"]} probes)
  p50                     {f["p50_ms"]:>10.1f} ms
  p99                     {f["p99_ms"]:>10.1f} ms
  longest                 {f["max_ms"]:>10.1f} ms""")
