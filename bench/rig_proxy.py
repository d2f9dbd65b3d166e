"""A TCP proxy that misbehaves on request. See rig.py."""

import socket
import struct
import threading
import time


UP, DOWN = "up", "down"  # from the client to the server, and back


class _Messages:
    """PostgreSQL's protocol from the client, cut into messages: (type, body), type b"" at start."""

    def __init__(self):
        self.buffer = b""
        self.started = False
        self.commits = set()  # names of prepared statements that are COMMIT

    def feed(self, data):
        self.buffer += data
        while True:
            head = 5 if self.started else 4
            if len(self.buffer) < head:
                return
            size = struct.unpack(">I", self.buffer[head - 4:head])[0] + head - 4
            if len(self.buffer) < size:
                return
            kind, body = self.buffer[:head - 4], self.buffer[head:size]
            self.buffer = self.buffer[size:]
            # SSLRequest and GSSENCRequest come before the real start.
            if not self.started and body[:4] not in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"):
                self.started = True
            yield kind, body

    def is_commit(self, kind, body):
        """COMMIT as a query, or the execution of a statement that was prepared as one."""
        if kind == b"P":  # Parse: name of the statement, then its text
            name, text = body.split(b"\0", 2)[:2]
            (self.commits.add if self._is_commit_text(text) else self.commits.discard)(name)
        if kind == b"B":  # Bind: name of the portal, then of the statement
            return body.split(b"\0", 2)[1] in self.commits
        return kind == b"Q" and self._is_commit_text(body)

    @staticmethod
    def _is_commit_text(text):
        return text.lstrip().upper().startswith(b"COMMIT")


def _mqtt_version(packet):
    """Protocol level of a CONNECT packet: 4 = 3.1.1, 5 = 5."""
    at = 1
    while packet[at] & 0x80:
        at += 1
    name_size = struct.unpack(">H", packet[at + 1:at + 3])[0]
    return packet[at + 3 + name_size]


class _Link:
    """One client's connection and ours to the server."""

    def __init__(self, proxy, client):
        self.proxy = proxy
        self.client = client
        self.server = None
        self.messages = _Messages()
        self.swallowing = None  # what to set when the next answer comes, which ends here
        self.observer = proxy.observe() if proxy.observe else None

    def run(self):
        try:
            if self.proxy._answer_connect(self.client):
                self.cut(reset=False)
                return
            self.server = socket.create_connection(self.proxy.target, timeout=10)
            self.server.settimeout(None)
            for s in (self.client, self.server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:  # nobody there, or cut meanwhile
            self.cut()
            return
        down = threading.Thread(target=self._pump, args=(DOWN, self.server, self.client),
                                daemon=True)
        down.start()
        self._pump(UP, self.client, self.server)
        down.join()
        self.proxy._links.discard(self)

    def _pump(self, direction, source, sink):
        try:
            while True:
                self.proxy._gates[direction].wait()
                data = source.recv(65536)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                # Again, for what was already being waited for when the stall began.
                self.proxy._gates[direction].wait()
                if self.proxy._delays[direction]:
                    time.sleep(self.proxy._delays[direction])
                if not self._pass(direction, data, sink):
                    self.cut()
                    return
        except OSError:
            self.cut()

    def _pass(self, direction, data, sink):
        """Forward; False = this link ends here."""
        proxy = self.proxy
        if self.observer:
            self.observer.feed(direction, data)
        if direction == DOWN and self.swallowing:
            self.swallowing.set()
            return False
        with proxy._lock:
            left = proxy._cut_after[direction]
            if left is not None:
                proxy._cut_after[direction] = None if len(data) >= left else left - len(data)
        if left is not None and len(data) >= left:
            sink.sendall(data[:left])
            return False
        if direction == UP and proxy.postgres and not self._watch(data):
            return False
        sink.sendall(data)
        proxy.bytes[direction] += len(data)
        if direction in proxy._taps:
            proxy._taps[direction] += data
        return True

    def _watch(self, data):
        """False if data has a COMMIT or a PREPARE that must not reach the server."""
        proxy = self.proxy
        for kind, body in self.messages.feed(data):
            if kind == b"P" and body[:1] != b"\0" and proxy._take_prepare() \
                    and not self._end_with(proxy.prepared, proxy._prepare_arrives):
                return False
            if not self.messages.is_commit(kind, body):
                continue
            proxy.commits += 1
            if proxy._take_commit() and not self._end_with(proxy.swallowed, proxy._commit_arrives):
                return False
        return True

    def _end_with(self, event, arrives):
        """event is set when the connection ends: now, or with the server's next answer."""
        if arrives:
            self.swallowing = event  # before the server can answer
        else:
            event.set()
        return arrives

    def cut(self, reset=True):
        self.proxy._links.discard(self)
        for s in (self.client, self.server):
            if s is None:
                continue
            try:
                if reset:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # Ends the recv() of the other thread; SHUT_RD sends nothing before the reset.
                s.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()


class Proxy:
    """127.0.0.1:port -> target, in threads. Starts passing everything on; then, at any time:

    cut()                        reset all connections; new ones work
    refuse(), accept()           reset new connections as well, until accept()
    stall(), flow()              stop forwarding (both ways, or UP, or DOWN) until flow()
    delay(seconds)               hold each piece back for so long
    cut_after(bytes, DOWN)       reset the connection that carries that byte, once
    swallow_commit()             the next COMMIT reaches PostgreSQL, its answer never comes back;
                                 arrives=False: the COMMIT does not even get there. Needs
                                 postgres=True from the start: messages are found by their lengths
    cut_prepare(count)           reset the connection that prepares the count-th statement from now
                                 on, before the server gets it; arrives=True: before its answer
    inject(data)                 send bytes to all clients as if the server had
    refuse_connect(0x84)         answer MQTT CONNECTs with this CONNACK code, count times

    observe: makes an object for each connection, whose feed(direction, data) gets all that was
    read, before it is passed on, by a thread for each direction. commits: how many COMMITs came.
    """

    def __init__(self, workspace, target_port, target_host="127.0.0.1", postgres=False,
                 observe=None):
        self.postgres = postgres
        self.observe = observe
        self.commits = 0
        self.target = (target_host, target_port)
        self.bytes = {UP: 0, DOWN: 0}
        self._taps = {}
        self.connections = 0
        self.connects = []  # MQTT protocol levels of CONNECTs answered by refuse_connect()
        self.swallowed = threading.Event()
        self._lock = threading.Lock()
        self._links = set()
        self._gates = {UP: threading.Event(), DOWN: threading.Event()}
        self._delays = {UP: 0, DOWN: 0}
        self._cut_after = {UP: None, DOWN: None}
        self._commits = False
        self._commit_arrives = True
        self.prepared = threading.Event()
        self._prepares = 0  # until the one that is cut; 0: none is
        self._prepare_arrives = False
        self._refused_connects = []
        self._refusing = False
        self.flow()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept_all, daemon=True)
        self._thread.start()
        workspace.members.append(self)

    def _accept_all(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            link = _Link(self, client)
            if self._refusing:
                link.cut()
                continue
            self._links.add(link)
            threading.Thread(target=link.run, daemon=True).start()

    def stop(self, timeout=None):
        """Close everything; also at the end of the workspace."""
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self.flow()
        self.cut()

    def cut(self):
        for link in list(self._links):
            link.cut()

    def refuse(self):
        self._refusing = True
        self.cut()

    def accept(self):
        self._refusing = False

    def tap(self, direction):
        """What passes from now on, as a bytearray that grows."""
        return self._taps.setdefault(direction, bytearray())

    def stall(self, *directions):
        for direction in directions or (UP, DOWN):
            self._gates[direction].clear()

    def flow(self):
        for gate in self._gates.values():
            gate.set()

    def delay(self, seconds, *directions):
        for direction in directions or (UP, DOWN):
            self._delays[direction] = seconds

    def inject(self, data):
        for link in list(self._links):
            link.client.sendall(data)

    def cut_after(self, count, direction=DOWN):
        with self._lock:
            self._cut_after[direction] = count

    def swallow_commit(self, arrives=True):
        """proxy.swallowed is set when it has happened. Connect with sslmode=disable."""
        assert self.postgres
        self.swallowed.clear()
        self._commit_arrives = arrives
        with self._lock:
            self._commits = True

    def cut_prepare(self, count=1, arrives=False):
        """proxy.prepared is set when it has happened. Connect with sslmode=disable."""
        assert self.postgres
        self.prepared.clear()
        self._prepare_arrives = arrives
        with self._lock:
            self._prepares = count

    def _take_prepare(self):
        with self._lock:
            if self._prepares == 0:
                return False
            self._prepares -= 1
            return self._prepares == 0

    def _take_commit(self):
        with self._lock:
            if not self._commits:
                return False
            self._commits = False
            return True

    def refuse_connect(self, code, count=1):
        """From 0x80 on the answer has the form of MQTT 5, else that of 3.1.1."""
        with self._lock:
            self._refused_connects = [code] * count

    def _answer_connect(self, client):
        """True if the CONNECT was answered here."""
        with self._lock:
            if not self._refused_connects:
                return False
            code = self._refused_connects.pop()
        self.connects.append(_mqtt_version(client.recv(65536)))
        client.sendall(bytes([0x20, 3, 0, code, 0]) if code >= 0x80 else bytes([0x20, 2, 0, code]))
        return True
