"""The engine of bench/run: what is measured, and the table of results.

Every section starts from empty servers. CPU is user and system time of a process and all of its
children, from the first message to the last one stored, divided by the messages.
"""

import json
import os
import statistics
import subprocess
import sys
import threading
import time

import broker_figures
import format_figures
import mqtt_probe
import one_figures
import outage_figures
import peer_figures
import queue_figures
import rate_figures
import replay_figures
import rig
import terminal

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("OCPP_PERSISTER_BUILD", os.path.join(ROOT, "build", "release"))
PERSISTER = os.path.join(BUILD, "ocpp-persister")
STATIONS = os.path.join(BUILD, "ocpp-stations")
LIMIT = os.path.join(BUILD, "limit")
SECTIONS = ("live_json", "live_msgpack", "drain", "latency", "replay", "replay_all", "beside",
            "one", "queue", "rates", "peers", "formats", "broker", "outage")
NAMED = ("peers", "formats", "broker", "outage")  # only where they are asked for
HISTORY = [f"2026-03-{day:02}T08:00:00Z" for day in range(2, 7)]
POSTGRES = {"shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "30min",
            "dynamic_shared_memory_type": "posix"}  # its default, unlike the rig's


def arguments():
    parser = terminal.ArgumentParser(prog="bench/run", description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="one run of everything, not three")
    parser.add_argument("--messages", type=int, metavar="N", help="of so many messages each")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE too")
    parser.add_argument("--only", choices=SECTIONS, action="append",
                        help="this section (may be given again)")
    return parser.parse_args()


def stations(broker, mix, *options, **kwargs):
    return subprocess.Popen(
        [STATIONS, "--broker", broker.url, "--quiet", "--seed", "1", "--stations", "2000",
         "--mix", mix, "--republish-seconds", "0", *map(str, options)],
        stdout=subprocess.PIPE, text=True, **kwargs)


class Bench:
    """Servers of one section: PostgreSQL, a broker, the persister in front of a new database."""

    def __init__(self, sync, mix="meter"):
        self.mix = mix
        self.workspace = rig.Workspace()
        self.postgres = rig.Postgres(self.workspace, settings=POSTGRES).start()
        self.broker = rig.Broker(self.workspace).start()
        self.persister = rig.Persister(self.workspace, PERSISTER, {
            **self.broker.settings(), "spool.sync": sync, "log.level": "warn"})

    def new_database(self, name):
        """An empty one, which the persister is to write to when it starts next."""
        self.postgres.psql(f"CREATE DATABASE {name}")
        settings = self.postgres.settings(name)
        subprocess.run([PERSISTER, *(f"--{k}={v}" for k, v in settings.items()), "migrate", "up"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.postgres.psql("CHECKPOINT")
        self.persister.settings.update(settings)
        return self

    def new_log(self, name):
        """An empty one, and another session at the broker."""
        self.persister.settings.update({
            "spool.dir": os.path.join(self.workspace.path, f"log_{name}"),
            "mqtt.client_id": f"persister-{name}"})
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.workspace.close()

    def start(self):
        self.persister.start()
        self.persister.wait_metric("ocpp_persister_broker_up", 1)
        self.persister.wait_metric("ocpp_persister_database_up", 1)
        return self

    def fleet(self, *options):
        return stations(self.broker, self.mix, *options)

    def cpu(self):
        return {"mosquitto": rig.cpu_seconds(self.broker.pid),
                "persister": rig.cpu_seconds(self.persister.pid),
                "PostgreSQL": rig.cpu_seconds(self.postgres.pid)}

    def outcome(self, name):
        return self.persister.metric(f'ocpp_persister_messages_total{{outcome="{name}"}}')

    def wait_all(self, messages, timeout=240):
        """Waits until so many messages have been dealt with, whichever way."""
        def done():
            return (self.persister.metric("ocpp_persister_messages_total") or 0) >= messages

        rig.wait_until(done, timeout, lambda: f"{messages} messages")


def summary_of(fleet):
    out, _ = fleet.communicate()
    if fleet.returncode != 0:
        raise rig.RigError(f"ocpp-stations ended with {fleet.returncode}: {out}")
    return json.loads(out)


def live(payloads, messages):
    """As fast as the broker takes them, from the first PUBLISH to the last row committed."""
    with Bench("interval").new_database("live").start() as b:
        before = b.cpu()
        began = time.monotonic()
        fleet = b.fleet("--format", payloads, "--rate", 0, "--messages", messages)
        generator = watch_cpu(fleet)
        summary = summary_of(fleet)
        published = time.monotonic() - began
        b.wait_all(messages)
        seconds = time.monotonic() - began
        cpu = {name: used - before[name] for name, used in b.cpu().items()}
        cpu["stations"] = generator()
        if b.outcome("dead_lettered"):
            raise rig.RigError("dead letters in a run that has none")
        return {"messages_per_second": messages / seconds,
                "published_per_second": summary["published"] / published,
                "cpu_us": {name: used * 1e6 / messages for name, used in cpu.items()},
                "rss_peak_mib": b.persister.rss_peak_kib() / 1024}


def watch_cpu(process):
    """A function that tells what CPU the process had used when it was last looked at."""
    seen = [0.0]

    def look():
        while process.poll() is None:
            seen[0] = max(seen[0], rig.cpu_seconds(process.pid))
            time.sleep(0.05)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    return lambda: thread.join() or seen[0]


def drain(messages, runs):
    """A log full of what the database has never seen, drained, against COPY of the same rows from
    memory: the same partitions, the same indexes, as many rows per commit, in turn."""
    with Bench("interval") as b:
        fill(b, messages)
        return [drain_once(b, number) for number in range(runs)]


def fill(b, messages, days=()):
    """The log, while there is no database: of today, or of several days in a row."""
    b.persister.settings.update(b.postgres.settings("nobody", port=rig.free_port()))
    b.persister.start()
    b.persister.wait_metric("ocpp_persister_broker_up", 1)
    fleets = [("--seed", n, "--start", day) for n, day in enumerate(days, 1)] or [()]
    for options in fleets:
        summary_of(b.fleet("--format", "msgpack", "--rate", 0, "--messages",
                           messages // len(fleets), *options))
    b.persister.wait_metric("ocpp_persister_backlog_records", messages, 600)
    b.persister.stop()


def drain_once(b, number):
    log = b.persister.settings["spool.dir"]
    b.new_database(f"limit{number}")
    before = rig.cpu_seconds(b.postgres.pid)
    done = subprocess.run([LIMIT, "--spool", log, "--conninfo",
                           b.postgres.dsn(f"limit{number}")], check=True, stdout=subprocess.PIPE)
    limit = json.loads(done.stdout)
    limit_cpu = rig.cpu_seconds(b.postgres.pid) - before
    b.new_database(f"drain{number}")
    before = rig.cpu_seconds(b.postgres.pid)
    began = time.monotonic()
    b.start()
    b.persister.wait_metric("ocpp_persister_backlog_records", lambda left: left == 0, 240)
    seconds = time.monotonic() - began
    cpu = rig.cpu_seconds(b.postgres.pid) - before
    ours = b.persister.cpu_seconds()
    rows = b.persister.metric("ocpp_persister_rows_total")
    peak = b.persister.rss_peak_kib() / 1024
    b.persister.stop()
    return {"limit_rows_per_second": limit["rows_per_second"],
            "drain_rows_per_second": rows / seconds,
            "limit_cpu_us": limit_cpu * 1e6 / limit["rows"],
            "drain_cpu_us": cpu * 1e6 / rows,
            "persister_cpu_us": ours * 1e6 / rows,
            "rss_peak_mib": peak}


def latency(seconds):
    """From PUBLISH to seen by another connection, while 1,000 messages a second go by, each synced
    to disk before it is acknowledged."""
    with Bench("message").new_database("latency").start() as b:
        fleet = b.fleet("--format", "mixed", "--rate", 1000, "--seconds", seconds + 4)
        times = mqtt_probe.publish_to_visible(b.broker.port, b.postgres.dsn("latency"), seconds)
        summary = summary_of(fleet)
        return {"p50_ms": statistics.median(times) * 1e3,
                "p99_ms": sorted(times)[len(times) * 99 // 100] * 1e3,
                "max_ms": max(times) * 1e3, "probes": len(times),
                "messages_per_second": summary["messages_per_second"],
                "rss_peak_mib": b.persister.rss_peak_kib() / 1024}


def replay(messages, mix):
    with Bench("interval", mix) as b:
        messages -= messages % len(HISTORY)
        fill(b, messages, HISTORY)
        return replay_figures.replay(b, LIMIT, messages)


def beside(messages, seconds):
    with Bench("interval") as b:
        fill(b, messages)
        b.persister.settings["spool.sync"] = "message"
        return replay_figures.beside(b, seconds)


def one(rounds, count):
    with Bench("interval") as b:
        figures = one_figures.measure(b, rounds, count)
        return {**figures, "rss_peak_mib": max(f[who]["rss_peak_mib"] for f in figures.values()
                                               for who in ("one", "many"))}


def formats(rounds, lines):
    with Bench("interval") as b:
        return format_figures.measure(b, rounds, lines)


def queue(messages, runs):
    with Bench("message") as b:
        figures = queue_figures.measure(
            b, b.fleet, summary_of,
            lambda name: b.new_log(name).new_database(name), runs, messages)
        return {**figures, "rss_peak_mib": max(f["rss_peak_mib"] for f in figures.values())}


def rates(runs, seconds):
    with Bench("message").new_database("rates") as b:
        figures = rate_figures.measure(b, b.fleet, summary_of, runs, seconds)
        return {**figures, "rss_peak_mib": max(f["rss_peak_mib"] for rates in figures.values()
                                               for f in rates.values())}


def peers(messages, runs):
    with Bench("message") as b:
        figures = peer_figures.measure(b, b.fleet, summary_of, runs, messages)
        return {**figures, "rss_peak_mib": figures["ours"]["rss_peak_mib"]}


def outage(seconds):
    with Bench("message").new_database("outage") as b:
        return outage_figures.measure(b, b.fleet, summary_of, seconds)


def broker(runs, seconds):
    def fleet(to, *options):
        return stations(to, "meter", *options, stderr=subprocess.DEVNULL)

    def persister(workspace, to):
        return rig.Persister(workspace, PERSISTER, {
            **to.settings(), "storage.postgres.port": rig.free_port(), "log.level": "warn"})

    figures = broker_figures.measure(persister, fleet, runs, seconds)
    return {**figures, "rss_peak_mib": max(f["rss_peak_mib"] for f in figures.values())}


# ---- the table ----

def medians(runs):
    """The median of each figure over several runs of one section."""
    if isinstance(runs[0], dict):
        return {key: medians([run[key] for run in runs]) for key in runs[0]}
    return statistics.median(runs)


def measure(options):
    runs = 1 if options.quick else 3
    messages = options.messages or (300_000 if options.quick else 600_000)
    sections = {
        "live_json": lambda: medians([live("json", messages) for _ in range(runs)]),
        "live_msgpack": lambda: medians([live("msgpack", messages) for _ in range(runs)]),
        "drain": lambda: medians(drain(messages, runs)),
        "latency": lambda: medians([latency(20) for _ in range(runs)]),
        "replay": lambda: medians([replay(messages, "values") for _ in range(runs)]),
        "replay_all": lambda: medians([replay(messages, "meter") for _ in range(runs)]),
        "beside": lambda: medians([beside(messages, 20) for _ in range(runs)]),
        "one": lambda: one(runs, options.messages),
        "formats": lambda: formats(runs, messages),
        "rates": lambda: rates(runs, 10),
        "peers": lambda: peers(options.messages or messages // 4, runs),
        "queue": lambda: queue(options.messages or messages // 4, runs),
        "broker": lambda: broker(runs, 5),
        "outage": lambda: medians([outage(60 if options.quick else 300) for _ in range(runs)]),
    }
    figures = {}
    for name in options.only or [name for name in SECTIONS if name not in NAMED]:
        began = time.monotonic()
        figures[name] = sections[name]()
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return figures


def table(figures):
    for name in ("live_json", "live_msgpack"):
        if name in figures:
            tell_live(name, figures[name])
    if "drain" in figures:
        tell_drain(figures["drain"])
    if "latency" in figures:
        tell_latency(figures["latency"])
    if "replay" in figures:
        replay_figures.tell_replay("meter values alone", figures["replay"])
    if "replay_all" in figures:
        replay_figures.tell_replay("all messages and their answers", figures["replay_all"])
    if "beside" in figures:
        replay_figures.tell_beside(figures["beside"])
    if "one" in figures:
        one_figures.tell(figures["one"])
    if "formats" in figures:
        format_figures.tell(figures["formats"])
    if "rates" in figures:
        rate_figures.tell(figures["rates"])
    if "peers" in figures:
        peer_figures.tell({name: f for name, f in figures["peers"].items()
                           if name != "rss_peak_mib"})
    if "queue" in figures:
        queue_figures.tell({mode: figures["queue"][mode] for mode in queue_figures.MODES})
    if "broker" in figures:
        broker_figures.tell({way: figures["broker"][way] for way in broker_figures.WAYS})
    if "outage" in figures:
        outage_figures.tell(figures["outage"])
    peak = max(f["rss_peak_mib"] for f in figures.values())
    print(f"\npeak RSS of the persister, all of the above: {peak:.1f} MiB")


def tell_live(name, f):
    used = sum(f["cpu_us"].values())
    print(f"""
live, {name.removeprefix("live_")}: QoS 1, 90 % meter values of six samples and their results, \
spool.sync = interval
  stored                  {f["messages_per_second"]:>10,.0f} messages/s
  CPU per message         {used:>10.1f} us, of which""")
    for process, cpu in f["cpu_us"].items():
        print(f"    {process:<20}  {cpu:>10.1f} us")


def tell_drain(f):
    ratio = f["drain_rows_per_second"] / f["limit_rows_per_second"]
    print(f"""
draining a full log
  drained                 {f["drain_rows_per_second"]:>10,.0f} rows/s
  COPY from memory        {f["limit_rows_per_second"]:>10,.0f} rows/s of the same rows (the limit)
  ratio                   {ratio:>10.2f}
  CPU per row, PostgreSQL {f["drain_cpu_us"]:>10.1f} us; with COPY from memory \
{f["limit_cpu_us"]:.1f} us
  CPU per row, persister  {f["persister_cpu_us"]:>10.1f} us""")


def tell_latency(f):
    print(f"""
publish to visible at {f["messages_per_second"]:,.0f} messages/s, each on disk before it is \
acknowledged ({f["probes"]} probes)
  p50                     {f["p50_ms"]:>10.1f} ms
  p99                     {f["p99_ms"]:>10.1f} ms
  longest                 {f["max_ms"]:>10.1f} ms""")


def main():
    options = arguments()
    cores = len(os.sched_getaffinity(0))
    runs = "one run" if options.quick else "medians of three runs"
    print(f"on {cores} cores, {runs}", flush=True)
    figures = measure(options)
    table(figures)
    if options.json:
        with open(options.json, "w") as f:
            json.dump(figures, f, indent=2)
            f.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
