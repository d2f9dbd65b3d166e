"""Rounds of the same plan, with the same taps and the same count of what is lost and doubled, for
what is often written instead of this program: the clients of bench/peers.

They store each MQTT message as one row of a table. Nothing is asked of them but that: no verify, no
ledger of stations, no order of acknowledgements.
"""

import functools

import peer_figures
import psycopg
import rig
import rounds

CLIENT = "worker0"


class Peer(rig._Server):
    """One of them, as its process."""

    def __init__(self, workspace, command, name):
        super().__init__(workspace, name)
        self.command = command

    def start(self):
        self.process = self.workspace.spawn(self.command, self.log, as_us=True)
        return self


class PeerRound(rounds.Round):
    def __init__(self, command, servers, number):
        super().__init__(servers, number)
        self.command = command

    def _worker(self, i, name, kinds, changeable):
        self.database.writer_settings()  # makes the role
        with self.connect() as c:
            c.execute(f"SET search_path = public; {peer_figures.TABLE};"
                      " GRANT INSERT ON messages TO persister")
        dsn = (f"postgresql://persister:secret@127.0.0.1:{self.database_doors[i].port}"
               f"/{self.database.name}?sslmode=disable")
        program, *options = self.command
        return Peer(self.servers.workspace, [
            *program, str(self.broker_doors[i].port), CLIENT, dsn, *options], name)

    def _wait_connected(self):
        rig.wait_until(lambda: self.taps[0].subscribed, what=lambda: rig.tail(self.workers[0].log))

    def stop_worker(self, w):
        """SIGTERM: it stores what it has, and ends."""
        code = w.stop()
        if code:
            self.notes.append(f"exit {code}")
            self.audit.add("crashed", rig.tail(w.log, 5))

    def _all_is_stored(self):
        return True  # as soon as it has ended: see _judge()

    def _progress(self):
        return f"stored {self.rows('SELECT count(*) FROM public.messages')}"

    def _judge(self):
        self.stop_worker(self.workers[0])
        with psycopg.connect(self.database.dsn()) as c:
            stored = c.execute("SELECT topic, payload::text FROM public.messages").fetchall()
        self.totals = self.audit.messages(stored, self.taps)
        self._count_broker()


def rounds_of(servers):
    """What makes a round of servers.options.consumer."""
    language, _, after_commit = servers.options.consumer.partition("-")
    program = peer_figures.PYTHON if language == "python" \
        else peer_figures.node_command(servers.workspace)
    if program is None:
        raise rig.RigError(peer_figures.NODE_NEEDS)
    return functools.partial(PeerRound, [program, *(["--after-commit"] if after_commit else [])])
