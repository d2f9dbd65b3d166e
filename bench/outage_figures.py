"""The database is away for minutes while messages keep coming: what that costs in memory, and how
long it takes until everything that waited is stored."""

import time

import rig

RATE = 2000
WARM_S, AFTER_S = 10, 20
BACKLOG = "ocpp_persister_backlog_records"
CAUGHT_UP = RATE // 10  # as many wait as come within 100 ms


class Memory:
    """What the persister has, and had at most since it was last asked."""

    def __init__(self, persister):
        self.persister, self.peak = persister, 0

    def look(self):
        self.peak = max(self.peak, self.persister.rss_kib() / 1024)
        return True

    def most(self):
        self.look()
        found, self.peak = self.peak, 0
        return found


def measure(bench, fleet, summary_of, seconds):
    bench.start()
    memory = Memory(bench.persister)
    running = fleet("--format", "mixed", "--rate", RATE, "--seconds", WARM_S + seconds + AFTER_S)
    bench.wait_all(WARM_S * RATE)
    before = memory.most()
    bench.postgres.stop()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:  # an outage lasts
        memory.look()
        time.sleep(0.2)
    away = memory.most()
    waiting = bench.persister.metric(BACKLOG)
    bench.postgres.start()
    began = time.monotonic()
    rig.wait_until(lambda: memory.look() and bench.persister.metric(BACKLOG) < CAUGHT_UP, 600,
                   lambda: f"{bench.persister.metric(BACKLOG)} still wait")
    caught_up = time.monotonic() - began
    summary = summary_of(running)
    rig.wait_until(lambda: bench.persister.metric(BACKLOG) == 0, 120, "a backlog is left")
    stored = memory.most()
    bench.persister.stop()
    return {"messages_per_second": summary["messages_per_second"], "away_s": seconds,
            "waiting": waiting, "caught_up_s": caught_up,
            "stored_per_second": waiting / caught_up + RATE,
            "rss_before_mib": before, "rss_away_mib": away, "rss_after_mib": stored,
            "rss_peak_mib": max(before, away, stored)}


def tell(f):
    grown = {when: f[f"rss_{when}_mib"] - f["rss_before_mib"] for when in ("away", "after")}
    print(f"""
the database is away for {f['away_s']:.0f} s, at {f['messages_per_second']:,.0f} messages/s
  waiting at the end     {f['waiting']:>10,.0f} messages
  caught up after        {f['caught_up_s']:>10.1f} s
    stored meanwhile     {f['stored_per_second']:>10,.0f} messages/s
  RSS before             {f['rss_before_mib']:>10.1f} MiB
    while it is away     {f['rss_away_mib']:>10.1f} MiB ({grown['away']:+.1f})
    while it catches up  {f['rss_after_mib']:>10.1f} MiB ({grown['after']:+.1f})""")
