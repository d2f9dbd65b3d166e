"""batch.latency_target: messages that keep coming share a transaction; the first after a pause does
not wait, and none waits longer than it must."""

import statistics
import time

from conftest import stored

BATCHES = "ocpp_persister_batches_total"


def heartbeats(publish, first, count):
    for number in range(first, first + count):
        publish.call("cs001", "Heartbeat", {}, id=str(number))


def store_each(publish, database, numbers):
    """How long each took that came 0.85 s after the one before it."""
    took_s = []
    for number in numbers:
        began = time.monotonic()
        heartbeats(publish, number, 1)
        stored(database, number + 1)
        took_s.append(time.monotonic() - began)
        time.sleep(max(0, 0.85 - took_s[-1]))
    return took_s


def test_messages_that_keep_coming_share_a_transaction(running, migrated, publish):
    target_s = 2
    p = running({"batch.latency_target": f"{target_s}s"})
    heartbeats(publish, 0, 1)
    stored(migrated, 1)
    before = p.metric(BATCHES)
    began = time.monotonic()
    heartbeats(publish, 1, 200)
    stored(migrated, 201)
    took_s = time.monotonic() - began
    # Each holds what came within the target less what a batch takes.
    assert p.metric(BATCHES) - before <= 2 + 2 * took_s / target_s


def test_first_message_after_a_pause_does_not_wait(running, migrated, publish):
    p = running({"batch.latency_target": "1min"})
    began = time.monotonic()
    heartbeats(publish, 0, 1)
    stored(migrated, 1)
    assert time.monotonic() - began < 60
    assert p.metric(BATCHES) == 1


def test_messages_too_far_apart_to_share_a_transaction_do_not_wait(running, migrated, publish):
    """Storing takes 0.3 s here, so each could wait for 0.7 s, in which no other comes. Compared
    with batches that never wait, as a loaded machine is slow in any case."""
    migrated.rows("""
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$;
        CREATE TRIGGER slow AFTER UPDATE ON ingest_progress
        FOR EACH STATEMENT EXECUTE FUNCTION slow();
        """)
    p = running({"batch.latency_target": "0ms"})
    never_s = statistics.median(store_each(publish, migrated, range(6)))
    assert p.stop() == 0
    p.settings["batch.latency_target"] = "1s"
    p.start()
    took_s = store_each(publish, migrated, range(6, 32))
    assert statistics.median(took_s[-6:]) < never_s + 0.7 / 2


def test_full_batch_does_not_wait(running, migrated, publish):
    p = running({"batch.latency_target": "1min", "batch.messages_max": 10})
    heartbeats(publish, 0, 1)
    stored(migrated, 1)
    began = time.monotonic()
    heartbeats(publish, 1, 10)
    stored(migrated, 11)
    assert time.monotonic() - began < 60
    assert p.metric(BATCHES) == 2


def test_batches_that_never_wait(running, migrated, publish):
    p = running({"batch.latency_target": "0ms"})
    for number in range(5):
        heartbeats(publish, number, 1)
        stored(migrated, number + 1)
    assert p.metric(BATCHES) == 5
