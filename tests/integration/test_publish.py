"""`ocpp-persister replay --publish`: every message gets there, whatever happens on the way."""

import json
import os
import re
import signal
import subprocess

import pytest
import rig
from conftest import BINARY, run_cli

MESSAGES = 3000


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "capture"
    path.write_text("".join(
        f"{1769853600 + i} 1 cs/in/ocpp1.6/cs{i % 7} "
        + f'[2,"{i}","Heartbeat",{{}}]'.encode().hex() + "\n" for i in range(MESSAGES)))
    return path


class Subscriber:
    """What came of each message, in order."""

    def __init__(self, broker, path):
        self.path = path
        with open(path, "wb") as out:
            self.process = subprocess.Popen(
                ["stdbuf", "-oL", "mosquitto_sub", "-V", "5", "-c", "-i", "subscriber", "-x", "600",
                 "-p", str(broker.port), "-q", "1", "-t", "cs/#", "-F", "%p", "-d"], stdout=out)
        rig.wait_until(lambda: b"Subscribed" in path.read_bytes(), 30, "mosquitto_sub subscribes")

    def ids(self):
        return [int(n) for n in re.findall(rb'(?m)^\[2,"(\d+)"', self.path.read_bytes())]

    def wait_for_all(self):
        rig.wait_until(lambda: set(self.ids()) == set(range(MESSAGES)), 60,
                       lambda: f"{len(set(self.ids()))} messages")
        return self.ids()

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def subscriber(broker, tmp_path):
    s = Subscriber(broker, tmp_path / "subscriber")
    yield s
    s.stop()


def start(url, source, *options, rate=1500, **settings):
    command = [BINARY, *(f"--{k.replace('_', '.', 1)}={v}" for k, v in settings.items()), "replay",
               "--json", "--publish", url, "--speed", "max", "--rate", str(rate), *options,
               str(source)]
    known = os.path.join(os.path.dirname(__file__), "paho.lsan")
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "LSAN_OPTIONS":
                                 f"suppressions={known}:print_suppressions=0"})


def end(run, code=0):
    out, err = run.communicate(timeout=rig.HANGS_S)
    assert run.returncode == code, out + err
    return {**json.loads(out), "stderr": err}


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_connection_that_breaks_is_made_again(capture, broker, subscriber, proxy, version):
    way = proxy(broker.port)
    way.cut_after(300)  # in the middle of acknowledgements, which are lost
    run = start(f"mqtt://127.0.0.1:{way.port}", capture, mqtt_version=version)
    rig.wait_until(lambda: len(subscriber.ids()) > 500, 30, "it gets somewhere")
    way.refuse()
    rig.wait_until(lambda: way.connections > 3, 30, "it tries again")
    way.accept()
    rig.wait_until(lambda: len(subscriber.ids()) > 1500, 30, "it goes on")
    way.cut()
    summary = end(run)
    assert summary["published"] == summary["acknowledged"] == summary["settled"] == MESSAGES
    assert 0 < summary["resent"] < MESSAGES
    assert "event=broker_lost" in summary["stderr"]
    # At least once; more only where it was not known.
    assert MESSAGES <= len(subscriber.wait_for_all()) <= MESSAGES + summary["resent"]


def test_broker_that_is_started_again_gets_the_rest(capture, broker, subscriber):
    run = start(broker.url, capture)
    rig.wait_until(lambda: len(subscriber.ids()) > 500, 30, "it gets somewhere")
    broker.stop()
    broker.start()
    summary = end(run)
    assert summary["published"] == summary["acknowledged"] == MESSAGES
    subscriber.wait_for_all()


def test_interrupted_it_says_where_to_go_on(capture, broker, subscriber, proxy):
    way = proxy(broker.port)
    run = start(f"mqtt://127.0.0.1:{way.port}", capture)
    rig.wait_until(lambda: len(subscriber.ids()) > 500, 30, "it gets somewhere")
    way.refuse()  # it waits for the broker when the signal comes
    rig.wait_until(lambda: way.connections > 2, 30, "it tries again")
    run.send_signal(signal.SIGTERM)
    first = end(run, code=1)
    assert 0 < first["settled"] <= first["acknowledged"] <= first["published"] < MESSAGES
    assert f"continue with --after {first['settled']}" in first["stderr"]
    way.accept()
    second = end(start(f"mqtt://127.0.0.1:{way.port}", capture, "--after", str(first["settled"])))
    assert second["published"] == MESSAGES - first["settled"]
    assert second["settled"] == MESSAGES
    subscriber.wait_for_all()


@pytest.mark.parametrize("url, says", [
    ("mqtt://no.such.host.invalid:1884", "no.such.host.invalid:1884: "),
    ("mqtt://127.0.0.1:1", "127.0.0.1:1: Connection refused")])
def test_broker_that_cannot_be_reached_is_named_with_the_cause(capture, url, says):
    done = run_cli({}, "replay", "--publish", url, str(capture))
    assert done.returncode == 7
    assert done.stderr.startswith("error: could not connect to the broker: "), done.stderr
    assert says in done.stderr
