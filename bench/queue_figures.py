"""What it costs to acknowledge only what is on disk: a queue at the broker is taken and stored,
with each value of spool.sync in turn, on the same messages."""

import statistics
import time

import mqtt_probe
import rig

MODES = ("message", "none", "interval")


def measure(bench, fleet, summary_of, new_database, runs, messages):
    """{mode: figures}, each the median of its runs. The modes take turns, so that whatever else the
    machine does affects all of them."""
    found = {mode: [] for mode in MODES}
    for number in range(runs):
        for mode in MODES if number % 2 == 0 else reversed(MODES):
            new_database(f"queue_{mode}_{number}")
            found[mode].append(drain(bench, fleet, summary_of, mode, messages))
    return {mode: {key: statistics.median(run[key] for run in of) for key in of[0]}
            for mode, of in found.items()}


def queue(bench, fleet, summary_of, messages):
    """The broker keeps them for us: we have a session, and are away."""
    bench.persister.start()
    bench.persister.wait_metric("ocpp_persister_broker_connects_total", 1)
    bench.persister.stop()
    summary_of(fleet("--format", "json", "--rate", 0, "--messages", messages))


def drain(bench, fleet, summary_of, mode, messages):
    bench.persister.settings["spool.sync"] = mode
    queue(bench, fleet, summary_of, messages)
    before = {"broker": rig.cpu_seconds(bench.broker.pid),
              "postgres": rig.cpu_seconds(bench.postgres.pid)}
    began = time.monotonic()
    bench.persister.start()
    rig.wait_until(lambda: (bench.persister.metric("ocpp_persister_messages_total") or 0)
                   >= messages, 600, "the queue is not drained")
    seconds = time.monotonic() - began
    syncs = bench.persister.metric("ocpp_persister_spool_syncs_total") or 0
    figures = {"messages_per_second": messages / seconds,
               "persister_us": bench.persister.cpu_seconds() * 1e6 / messages,
               "broker_us": (rig.cpu_seconds(bench.broker.pid) - before["broker"])
               * 1e6 / messages,
               "postgres_us": (rig.cpu_seconds(bench.postgres.pid) - before["postgres"])
               * 1e6 / messages,
               "messages_per_sync": messages / syncs if syncs else 0,
               "rss_peak_mib": bench.persister.rss_peak_kib() / 1024}
    bench.persister.stop()
    mqtt_probe.end_session(bench.broker.port, bench.persister.settings["mqtt.client_id"])
    return figures


def tell(figures):
    print("""
a queue at the broker, JSON of six samples, until the last row is committed
  spool.sync    messages/s   messages a sync   CPU a message: persister, broker, PostgreSQL""")
    for mode, f in figures.items():
        print(f"  {mode:<12}{f['messages_per_second']:>12,.0f}{f['messages_per_sync']:>18.1f}"
              f"{f['persister_us']:>25.1f}{f['broker_us']:>9.1f}{f['postgres_us']:>9.1f} us")
    ratio = figures["message"]["messages_per_second"] / figures["none"]["messages_per_second"]
    print(f"  message : none{ratio:>10.2f}  (asked 0.9)")
