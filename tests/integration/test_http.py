"""The pages for monitoring, while other clients hold on to connections."""

import contextlib
import os
import random
import resource
import socket
import threading
import time

import pytest
import rig

PAGE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def alone(persister):
    """A persister with neither broker nor database: HTTP is all it does."""
    p = persister({"mqtt.url": f"mqtt://127.0.0.1:{rig.free_port()}",
                   "storage.postgres.host": "127.0.0.1",
                   "storage.postgres.port": rig.free_port()}).start()
    rig.wait_until(lambda: p.http("/healthz")[0] == 200, 60, "the first answer")
    return p


def connect(p, **kwargs):
    host, port = p.settings["http.listen"].rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=30, **kwargs)


def partial_line(p):
    s = connect(p)
    s.sendall(b"GET /heal")
    return s


def partial_headers(p):
    s = connect(p)
    s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    return s


def never_reading(p):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    host, port = p.settings["http.listen"].rsplit(":", 1)
    s.connect((host, int(port)))
    s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
    return s


def silent(p):
    return connect(p)


def closed(p):
    s = partial_headers(p)
    s.close()
    return s


def reset(p):
    s = partial_line(p)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    s.close()
    return s


SLOW = [partial_line, partial_headers, never_reading, silent, closed, reset]


def latency(p):
    """Of /healthz, which must answer."""
    begun = time.monotonic()
    status, body = p.http("/healthz")
    assert (status, body) == (200, "ok\n")
    return time.monotonic() - begun


def bearable(p):
    """A second; more on a machine that is as slow without any other client."""
    return max(1.0, 10 * max(latency(p) for _ in range(5)))


@pytest.mark.parametrize("kind", SLOW, ids=[f.__name__ for f in SLOW])
def test_200_slow_clients_delay_nobody(alone, kind):
    limit = bearable(alone)
    with contextlib.ExitStack() as stack:
        for n in range(200):
            stack.enter_context(contextlib.closing(kind(alone)))
            if n % 10 == 9:
                assert latency(alone) < limit
        for _ in range(20):
            assert latency(alone) < limit
            assert alone.http("/metrics")[0] == 200
    for _ in range(20):
        assert latency(alone) < limit
    assert alone.stop() == 0


def test_33_clients_that_come_and_go_do_not_end_it(alone):
    """So many filled the list of connections, and nobody emptied it again."""
    for _ in range(3):
        slow = [partial_headers(alone) for _ in range(33)]
        for s in slow:
            s.close()
        latency(alone)
    assert alone.http("/metrics")[0] == 200


def test_more_clients_than_there_are_connections(alone):
    """Without end, as fast as they can: each that is cut comes again immediately."""
    limit, over = bearable(alone), threading.Event()

    def attack():
        held = []
        while not over.is_set():
            with contextlib.suppress(OSError):
                held.append(SLOW[len(held) % len(SLOW)](alone))
            if len(held) > 150:
                held.pop(0).close()

    threads = [threading.Thread(target=attack) for _ in range(5)]
    for t in threads:
        t.start()
    try:
        answered = 0
        for _ in range(50):
            begun = time.monotonic()
            answered += alone.http("/healthz")[0] == 200
            assert time.monotonic() - begun < limit * 2
    finally:
        over.set()
        for t in threads:
            t.join()
    # One that is pushed out learns it immediately, and an orchestrator tries again.
    assert answered >= 45
    latency(alone)


@pytest.mark.parametrize("kind", [partial_line, partial_headers, silent],
                         ids=["partial_line", "partial_headers", "silent"])
def test_a_request_has_a_deadline(alone, kind):
    """However it is drawn out: a byte now and then does not put it off."""
    s = kind(alone)
    s.settimeout(0.2)

    def ended():
        try:
            if kind is not silent:
                s.sendall(b"x")
            return s.recv(100) == b""
        except socket.timeout:
            return False
        except OSError:
            return True

    rig.wait_until(ended, 120, "the end of the connection")


def test_it_runs_out_of_descriptors_and_goes_on(persister):
    """Of 40 there are too few for the clients; those that wait are taken when some have gone."""
    settings = {"mqtt.url": f"mqtt://127.0.0.1:{rig.free_port()}",
                "storage.postgres.host": "127.0.0.1", "storage.postgres.port": rig.free_port()}
    p = persister(settings).start()
    rig.wait_until(lambda: p.http("/healthz")[0] == 200, 60, "the first answer")
    resource.prlimit(p.pid, resource.RLIMIT_NOFILE, (40, 40))
    slow = [partial_headers(p) for _ in range(60)]
    rig.wait_until(lambda: p.http("/healthz")[0] == 200, 120, "an answer")
    busy, begun = p.cpu_seconds(), time.monotonic()
    rig.wait_until(lambda: time.monotonic() - begun > 1, 60, "a second")
    assert p.cpu_seconds() - busy < (time.monotonic() - begun) / 2, "it spins"
    for s in slow:
        s.close()
    rig.wait_until(lambda: p.http("/metrics")[0] == 200, 120, "an answer")
    assert os.path.exists(f"/proc/{p.pid}")


def reply(p, request):
    """How the answer begins; "" if the connection is just closed."""
    with connect(p) as s, contextlib.suppress(OSError):
        s.sendall(request)
        s.shutdown(socket.SHUT_WR)
        return s.recv(65536).decode(errors="replace")
    return ""


def request(line, *headers):
    return "\r\n".join([line, "Host: localhost", *headers, "", ""]).encode("latin-1")


# Requests, and the answers that are right for them; "": the connection is closed.
HOSTILE = {
    "another folder": (request("GET /../../../../etc/passwd HTTP/1.1"), ["404"]),
    "another folder, encoded": (request("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1"), ["404"]),
    "a page by way of a folder": (request("GET /x/../metrics HTTP/1.1"), ["404"]),
    "a file": (request("GET //etc/passwd HTTP/1.1"), ["404"]),
    "a page of somebody else": (request("GET http://elsewhere/metrics HTTP/1.1"), ["404", "400"]),
    "a page and more": (request("GET /metrics%00.txt HTTP/1.1"), ["404", "400"]),
    # Larger than what a connection may have: closed at the deadline of a request.
    "a header of 100,000 bytes": (request("GET /healthz HTTP/1.1", "X: " + "a" * 100_000),
                                  ["413", "431", ""]),
    "10,000 headers": (request("GET /healthz HTTP/1.1", *["X: a"] * 10_000), ["413", "431", ""]),
    "an unknown method": (request("FOO /metrics HTTP/1.1"), ["405", "501"]),
    "bytes": (random.Random(1).randbytes(1000) + b"\r\n\r\n",
              ["400", "404", "405", "413", "414", "431", "505", ""]),
    "TLS": (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(512), ["400", ""]),
    "HTTP 9": (request("GET /metrics HTTP/9.9"), ["505", "400", ""]),
    "two lengths": (request("POST /metrics HTTP/1.1", "Content-Length: 5", "Content-Length: 6")
                    + b"12345", ["400", "405", ""]),
    "a length that no body has": (request("POST /metrics HTTP/1.1",
                                          "Content-Length: 99999999999999999999"),
                                  ["400", "405", "413", ""]),
    "a chunk that is larger than memory": (request(
        "POST /metrics HTTP/1.1", "Transfer-Encoding: chunked") + b"ffffffffffffffff\r\nx",
        ["400", "405", "413", ""]),
    **{method: (request(f"{method} /metrics HTTP/1.1"), ["405"])
       for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")},
    "CONNECT": (request("CONNECT elsewhere:80 HTTP/1.1"), ["400", "404", "405"]),
}


def test_hostile_requests_get_nothing_and_end_nothing(persister):
    p = persister({"mqtt.url": f"mqtt://127.0.0.1:{rig.free_port()}", "mqtt.password": "hunter2",
                   "storage.postgres.host": "127.0.0.1", "storage.postgres.password": "hunter2",
                   "storage.postgres.port": rig.free_port()}).start()
    rig.wait_until(lambda: p.http("/healthz")[0] == 200, what="the first answer")
    for which, (data, answers) in HOSTILE.items():
        said = reply(p, data)
        assert said.split(" ")[1:2] == [] and "" in answers or said.split(" ")[1] in answers, (
            which, said[:200])
        assert "root:" not in said and "ocpp_persister_" not in said, which
    assert "hunter2" not in p.http("/metrics")[1] + p.http("/healthz")[1] + p.http("/readyz")[1]
    latency(p)
    assert p.stop() == 0
