"""The engine of ./quickstart: private servers, the persister, stations, and a status line. If any
of them is killed meanwhile, it is started again: that is part of the show."""

import json
import os
import signal
import re
import shutil
import subprocess
import sys
import threading
import time

import rig
import terminal

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("OCPP_PERSISTER_BUILD", os.path.join(ROOT, "build", "release"))
PERSISTER = os.path.join(BUILD, "ocpp-persister")
STATIONS = os.path.join(BUILD, "ocpp-stations")
LEDGER = os.path.join(ROOT, "bench", "ledger", "ledger.py")
HERE = os.path.join(ROOT, ".quickstart")
DATABASE = "ocpp"

QUERIES = """\
  -- what was charged, where, by whom, and whether anything is missing
  SELECT charge_station_id, evse_id, id_token, started_at, duration, energy_wh, incomplete
  FROM sessions ORDER BY last_event_at DESC LIMIT 10;

  -- the power that one station draws, a row per sample
  SELECT event_time, evse_id, phase, value, unit FROM meter_samples
  WHERE charge_station_id = '{station}' AND measurand = 'Power.Active.Import'
  ORDER BY event_time DESC LIMIT 10;

  -- connectors by their newest status
  SELECT status, count(*) FROM connector_status GROUP BY 1 ORDER BY 2 DESC;"""

ROWS = """SELECT c.relname, coalesce(sum(s.n), 0) FROM (
    SELECT 'meter_values' t, count(*) n FROM ocpp.meter_values
    UNION ALL SELECT 'transaction_events', count(*) FROM ocpp.transaction_events
    UNION ALL SELECT 'transactions', count(*) FROM ocpp.transactions
    UNION ALL SELECT 'authorizations', count(*) FROM ocpp.authorizations
    UNION ALL SELECT 'ocpp_events', count(*) FROM ocpp.ocpp_events
    UNION ALL SELECT 'connector_status', count(*) FROM ocpp.connector_status
    UNION ALL SELECT 'charge_station_status', count(*) FROM ocpp.charge_station_status
    UNION ALL SELECT 'dead_letters', count(*) FROM ocpp.dead_letters) s
JOIN pg_class c ON c.relname = s.t AND c.relnamespace = 'ocpp'::regnamespace
GROUP BY 1 ORDER BY 2 DESC"""


def arguments():
    parser = terminal.ArgumentParser(
        prog="./quickstart", description="A private PostgreSQL, a private broker, the persister "
        "between them, and simulated stations. Ctrl-C stops all of it.")
    parser.add_argument("--seconds", type=int, help="end by itself after so long, with a table; "
                        "exit status 0 only if what was sent is what is stored")
    parser.add_argument("--stations", type=int, default=240, help="how many (default 240)")
    parser.add_argument("--speedup", type=float, default=20,
                        help="simulated seconds per second (default 20)")
    parser.add_argument("--seed", type=int, help="of the simulation, to see the same again")
    return parser.parse_args()


class Stop(Exception):
    """Ctrl-C, or the time is over."""


class Show:
    def __init__(self, options):
        self.options = options
        self.workspace = self._workspace()
        self.postgres = rig.Postgres(self.workspace, name="postgres")
        self.broker = rig.Broker(self.workspace, name="mosquitto")
        self.persister = None
        self.fleet = None
        self.ledger = os.path.join(self.workspace.folder("stations"), "ledger.jsonl")
        self.published = self.acknowledged = 0  # as the stations say
        self.stored = 0
        self.stored_before = (time.monotonic(), 0)

    @staticmethod
    def _workspace():
        """In .quickstart/. Root's servers run as another user, who may not get there: then it is
        a link to a folder that they reach."""
        if os.path.islink(HERE):
            os.unlink(HERE)
        elif os.path.isdir(HERE) and not os.listdir(HERE):
            os.rmdir(HERE)
        if os.geteuid() == 0:
            workspace = rig.Workspace()
            os.symlink(workspace.path, HERE)
            return workspace
        return rig.Workspace(HERE)

    def start(self):
        say("starting PostgreSQL and mosquitto ...")
        self.postgres.start()
        self.broker.start()
        self.postgres.psql(f"CREATE DATABASE {DATABASE}")
        settings = {**self.postgres.settings(DATABASE), **self.broker.settings(),
                    "mqtt.client_id": "ocpp-persister-quickstart"}
        self.persister = rig.Persister(self.workspace, PERSISTER, settings, name="persister")
        run([PERSISTER, *self.cli_options(), "migrate", "up"], stdout=subprocess.DEVNULL)
        self.persister.start()
        self.persister.wait_event("broker_connected")
        self.persister.wait_event("database_connected")
        self.tell_how_to_look()
        seed = [] if self.options.seed is None else ["--seed", str(self.options.seed)]
        self.fleet = subprocess.Popen(
            [STATIONS, "--broker", self.broker.url, "--stations", str(self.options.stations),
             "--speedup", str(self.options.speedup), "--ledger", self.ledger, *seed],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True)  # Ctrl-C is for us to pass on
        threading.Thread(target=self.read_status, args=(self.fleet.stderr,), daemon=True).start()

    def read_status(self, lines):
        for line in lines:
            found = re.match(r"published (\d+) .*acknowledged (\d+)", line)
            if found:
                self.published, self.acknowledged = map(int, found.groups())

    def cli_options(self):
        return [f"--{key}={value}" for key, value in self.postgres.settings(DATABASE).items()]

    def tell_how_to_look(self):
        say(f"""
{self.options.stations} stations, OCPP 1.6 and 2.0.1, JSON and msgpack -> {self.broker.url}
 -> ocpp-persister (status page: http://{self.persister.settings["http.listen"]}/) -> PostgreSQL

look at it with
  psql '{self.postgres.dsn(DATABASE)}&options=-csearch_path%3Docpp'
and for example
{QUERIES.format(station="cs0001")}

logs and data are in .quickstart/; kill -9 whatever you like: persister {self.persister.pid}, \
PostgreSQL {self.postgres.pid}
""")

    # ---- while it runs ----

    def watch(self):
        """Once a second: what runs, what does not any more, and how it goes."""
        began = time.monotonic()
        while True:
            self.revive()
            self.tell_progress(time.monotonic() - began)
            if self.options.seconds and time.monotonic() - began >= self.options.seconds:
                raise Stop
            if self.fleet.poll() is not None:
                raise rig.RigError(f"the stations ended with {self.fleet.returncode}")
            time.sleep(1 - (time.monotonic() - began) % 1)

    def revive(self):
        for server in (self.broker, self.postgres, self.persister):
            if server.running:
                continue
            say(f"\n{server.name} is gone; starting it again")
            if server is self.postgres:
                server.kill9()  # what a killed postmaster leaves behind
            server.start()

    def tell_progress(self, seconds):
        m = self.persister.metrics()
        if not m:
            return
        rows = sum(v for k, v in m.items() if k.startswith("ocpp_persister_rows_total"))
        now, (then, rows_then) = time.monotonic(), self.stored_before
        rate = max(0, rows - rows_then) / max(now - then, 0.001)
        self.stored_before = (now, rows)
        in_log = int(m["ocpp_persister_backlog_records"])
        at_broker = max(0, self.acknowledged - self.count_stored() - in_log)
        # The stations count once a second, so the database may be ahead of their last word.
        published = max(self.published, self.stored)
        tell_line(f"{int(seconds):5} s  published {published:,}  "
                  f"acknowledged {self.acknowledged:,}  stored {self.stored:,}  "
                  f"waiting: broker {at_broker:,}, log {in_log:,}  rows/s {rate:,.0f}")

    def count_stored(self):
        """Messages stored, or known not to be needed; the last count if the database is away."""
        try:
            self.stored = int(self.postgres.psql(
                "SELECT coalesce(sum(received), 0) FROM ocpp.ingest_progress", DATABASE))
        except rig.RigError:
            pass  # it is coming back
        return self.stored

    # ---- the end ----

    def finish(self):
        """True if what was sent is what is stored."""
        say("\nstopping the stations ...")
        self.fleet.send_signal(signal.SIGINT)
        out, _ = self.fleet.communicate(timeout=120)
        summary = json.loads(out)
        self.wait_stored(summary["acknowledged"])
        balanced = subprocess.run([PERSISTER, *self.cli_options(), "verify",
                                   f"--spool.dir={self.persister.settings['spool.dir']}"],
                                  stdout=subprocess.PIPE, text=True)
        rows = subprocess.run([sys.executable, "-B", LEDGER, self.ledger,
                               self.postgres.dsn(DATABASE)], stdout=subprocess.PIPE, text=True)
        right = balanced.returncode == 0 and rows.returncode == 0
        self.tell_balance(summary, balanced.stdout + rows.stdout, right)
        return right and self.fleet.returncode == 0

    def wait_stored(self, count):
        """Until all of it is there, or nothing more comes: an empty log says nothing of what the
        broker still holds for us."""
        before, since, told = -1, time.monotonic(), 0
        while time.monotonic() - since < 30:
            self.revive()
            stored = self.count_stored()
            if stored >= count and self.persister.metric("ocpp_persister_backlog_records") == 0:
                return
            if time.monotonic() - told >= 1:
                told = time.monotonic()
                tell_line(f"waiting for {max(0, count - stored):,} messages to be stored")
            if stored != before:
                before, since = stored, time.monotonic()
            time.sleep(0.1)

    def tell_balance(self, summary, verified, right):
        received, stored, duplicate, dead, skipped = self.postgres.psql(
            "SELECT sum(received), sum(stored), sum(duplicate), sum(dead_lettered), sum(skipped)"
            " FROM ocpp.ingest_progress", DATABASE).strip().split("|")
        say(f"""
messages published      {summary["published"]:>12,}
  acknowledged          {summary["acknowledged"]:>12,}
messages received       {int(received):>12,}
  stored                {int(stored):>12,}
  duplicates            {int(duplicate):>12,}
  skipped (empty {{}})    {int(skipped):>12,}
  dead letters          {int(dead):>12,}

rows
""" + "\n".join(f"  {name:<21} {int(count):>12,}" for name, count in (
            line.split("|") for line in self.postgres.psql(ROWS, DATABASE).strip().splitlines())))
        say("\nrow by row against the stations' own ledger\n")
        say(verified)
        say("balanced" if right else "NOT BALANCED")

    def close(self):
        if self.fleet is not None and self.fleet.poll() is None:
            self.fleet.kill()
            self.fleet.wait()
        self.workspace.close()
        if os.path.islink(HERE):
            os.unlink(HERE)


def say(text):
    print(text, flush=True)


def tell_line(line):
    """On a terminal over the one before, and no longer than a line of it."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"{line[:width]:<{width}}", end="\r", flush=True)
    else:
        say(line)


def run(command, **kwargs):
    subprocess.run(command, check=True, **kwargs)


def main():
    def stop(*_):
        raise Stop

    options = arguments()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    balanced = True
    show = Show(options)
    try:
        show.start()
        show.watch()
    except Stop:
        # A second Ctrl-C ends without the table.
        if show.fleet is not None:
            balanced = show.finish()
    except rig.RigError as e:
        say(f"\n{e}")
        balanced = False
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        show.close()
    return 0 if balanced else 1


if __name__ == "__main__":
    sys.exit(main())
