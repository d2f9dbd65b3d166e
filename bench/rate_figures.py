"""What a message costs, and how long it takes, at steady rates: in turn with batches that wait for
more messages (batch.latency_target), and with batches that never wait."""

import statistics

import mqtt_probe
import rig

RATES = (10, 100, 1000, 3000, 10000)
MODES = {"default": "10ms", "no wait": "0ms"}


def measure(bench, fleet, summary_of, runs, seconds):
    """{mode: {rate: figures}}, medians; the modes take turns."""
    found = {mode: {rate: [] for rate in RATES} for mode in MODES}
    probed = 0
    for _ in range(runs):
        for rate in RATES:
            for mode, target in MODES.items():
                bench.persister.settings["batch.latency_target"] = target
                figures, probes = steady(bench, fleet, summary_of, rate, seconds, probed)
                found[mode][rate].append(figures)
                probed += probes
    return {mode: {str(rate): {key: statistics.median(run[key] for run in of) for key in of[0]}
                   for rate, of in rates.items()} for mode, rates in found.items()}


def steady(bench, fleet, summary_of, rate, seconds, probed):
    bench.start()
    before = {name: (bench.persister.metric(f"ocpp_persister_{name}") or 0)
              for name in ("messages_total", "batches_total")}
    used = bench.cpu()
    running = fleet("--format", "mixed", "--rate", rate, "--seconds", seconds + 1)
    times = mqtt_probe.publish_to_visible(bench.broker.port, bench.postgres.dsn("rates"), seconds,
                                          probed)
    summary = summary_of(running)
    rig.wait_until(lambda: bench.persister.metric("ocpp_persister_backlog_records") == 0, 120,
                   "a backlog is left")
    used = {name: now - used[name] for name, now in bench.cpu().items()}
    messages = bench.persister.metric("ocpp_persister_messages_total") - before["messages_total"]
    batches = bench.persister.metric("ocpp_persister_batches_total") - before["batches_total"]
    peak = bench.persister.rss_peak_kib() / 1024
    bench.persister.stop()
    return {"messages_per_second": summary["messages_per_second"],
            "p50_ms": statistics.median(times) * 1e3,
            "p99_ms": sorted(times)[len(times) * 99 // 100] * 1e3,
            "persister_us": used["persister"] * 1e6 / messages,
            "postgres_us": used["PostgreSQL"] * 1e6 / messages,
            "messages_per_batch": messages / batches,
            "rss_peak_mib": peak}, len(times)


def tell(figures):
    print("""
steady rates: publish to visible, and CPU a message
  rate     batches    a batch      p50      p99   persister   PostgreSQL""")
    for rate in map(str, RATES):
        for mode in MODES:
            f = figures[mode][rate]
            print(f"  {rate:<9}{mode:<9}{f['messages_per_batch']:>9.1f}{f['p50_ms']:>9.1f}"
                  f"{f['p99_ms']:>9.1f} ms{f['persister_us']:>9.1f}{f['postgres_us']:>13.1f} us")
