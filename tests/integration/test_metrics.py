"""What /metrics says about the program, its stations and its tables."""

import os
import re
import time

from conftest import ROOT, descriptors, run_cli, stored

REASONS = open(os.path.join(ROOT, "consumer/base/reasons.def")).read()
P = "ocpp_persister_"


def test_every_known_reason_begins_with_0(running):
    """An alert on the increase of a counter does not see its first value."""
    found = running().metrics()
    for macro, name in (("DEAD_LETTERED", "dead_lettered"), ("SKIPPED", "skipped")):
        reasons = re.findall(rf'^{macro}\((\w+)\)', REASONS, re.M)
        series = {key: value for key, value in found.items()
                  if key.startswith(f"{P}messages_{name}_total{{")}
        assert series == {f'{P}messages_{name}_total{{reason="{r}"}}': 0 for r in reasons}
        assert len(reasons) >= 3
    for outcome in ("stored", "duplicate", "dead_lettered", "skipped"):
        assert found[f'{P}messages_total{{outcome="{outcome}"}}'] == 0


def test_reasons_are_counted_under_their_names(running, publish, migrated):
    p = running({"events.skip": "Heartbeat"})
    publish.call("cs1", "Heartbeat", {})
    publish.raw("cs/in/ocpp1.6/cs1", b"{")
    stored(migrated, 2)
    found = p.metrics()
    assert found[f'{P}messages_skipped_total{{reason="action"}}'] == 1
    assert found[f'{P}messages_dead_lettered_total{{reason="bad_json"}}'] == 1
    assert sum(value for key, value in found.items() if "{reason=" in key) == 2


def test_what_the_process_uses(running):
    begun = time.time()
    p = running()
    first = p.metrics()
    version = run_cli({}, "version").stdout.split()[1]
    assert first[f'{P}build_info{{version="{version}"}}'] == 1
    assert begun - 1 < first["process_start_time_seconds"] < time.time() + 1
    assert abs(first["process_resident_memory_bytes"] / 1024 / p.rss_kib() - 1) < 0.5
    assert first["process_virtual_memory_bytes"] >= first["process_resident_memory_bytes"]
    with open(f"/proc/{p.pid}/limits") as f:
        limit = int(re.search(r"^Max open files +(\d+)", f.read(), re.M)[1])
    assert first["process_max_fds"] == limit
    assert first["process_cpu_seconds_total"] <= p.cpu_seconds() + 0.1
    assert p.metric("process_cpu_seconds_total") >= first["process_cpu_seconds_total"] > 0
    # A descriptor of a request may come and go.
    there = len(descriptors(p))
    assert abs(first["process_open_fds"] - there) <= 5 and there > 5


def test_stations_are_those_that_were_heard_from(running, publish, migrated):
    p = running({"mqtt.topics": "cs/+/+/+"})
    assert p.metric(P + "stations_heard") == 0
    for n in range(3):
        for station in ("cs1", "cs2"):
            publish.call(station, "Heartbeat", {}, id=str(n))
    publish.raw("cs/in/ocpp1.6/cs3", b"{")  # it speaks, whatever it says
    publish.call("cs4", "Reset", {"type": "Soft"}, direction="out")
    publish.raw("cs/store/token/cs5", b"{}")
    stored(migrated, 9)
    assert p.metric(P + "stations_heard") == 3
    # What the broker had kept says nothing about the present.
    publish.client.publish("cs/in/ocpp1.6/cs6", b"{}", 1, retain=True).wait_for_publish()
    stored(migrated, 10)
    assert p.stop() == 0
    q = running({"mqtt.topics": "cs/+/+/+", "mqtt.client_id": "another"})
    stored(migrated, 11)
    assert q.metric(P + "stations_heard") == 0


def test_partitions_are_those_of_the_database(running, publish, migrated):
    migrated.rows("SELECT ensure_partition('meter_values', '2025-12-31')")
    p = running()
    publish.call("cs1", "MeterValues", {"connectorId": 1, "meterValue": [{
        "timestamp": "2026-01-31T10:00:00Z", "sampledValue": [{"value": "1"}]}]})
    stored(migrated, 1)
    wanted = {table: (count, oldest) for table, count, oldest in migrated.rows(
        "SELECT parent, count(*)::float8, extract(epoch FROM min(from_time))::float8 "
        "FROM partition_list() WHERE state = 'attached' GROUP BY parent")}
    assert len(wanted) == 6 and wanted["meter_values"][1] == 1767139200
    found = p.metrics()
    for table, (count, oldest) in wanted.items():
        assert found[f'{P}partitions{{table="{table}"}}'] == count, table
        assert found[f'{P}oldest_partition_timestamp_seconds{{table="{table}"}}'] == oldest, table
