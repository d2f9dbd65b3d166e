"""Certificates that do not fit, on the way to the broker and to PostgreSQL: each is refused, and
the reason is reported. The table is that of SECURITY.md."""

import datetime
import os
import re

import conftest
import psycopg
import pytest
import rig
from conftest import ROOT, run_cli

NEXT_YEAR = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=400)


class Servers:
    """A broker with a listener, and a PostgreSQL with a configuration, for each certificate."""

    def __init__(self, workspace):
        self.tls = rig.Certificates(workspace, "refusing")
        self.other = rig.Certificates(workspace, "refusing_other")
        us = self.tls.issue
        self.certificates = {
            "right": us("127.0.0.1"), "of another host": us("elsewhere.example"),
            "expired": us("127.0.0.1", days=-1),
            "not valid yet": us("127.0.0.1", begins=NEXT_YEAR),
            "of an unknown authority": self.other.issue("127.0.0.1"),
            "revoked": us("127.0.0.1", days=29)}
        self.clients = {
            "none": ("", ""), "right": us("persister"), "expired": us("persister", days=-1),
            "of an unknown authority": self.other.issue("persister"),
            "revoked": us("persister", days=29)}
        self.crl = self.tls.crl(self.certificates["revoked"][0], self.clients["revoked"][0])
        self.ports = {name: rig.free_port() for name in self.certificates}
        self.mutual_port = rig.free_port()
        self.ports["no TLS"] = rig.free_port()
        lines = []
        for name, port in self.ports.items():
            lines += self._listener(port, *self.certificates.get(name, ()))
        lines += [*self._listener(self.mutual_port, *self.certificates["right"]),
                  "require_certificate true", f"crlfile {self.crl}"]
        self.broker = rig.Broker(workspace, settings=lines, name="refusing_broker").start()
        self.postgres = self._postgres(workspace)
        database = conftest.make_database(self.postgres)
        assert run_cli(database.settings(), "migrate", "up").returncode == 0
        self.database = database.writer_settings()
        self.database_name = database.name
        with psycopg.connect(self.postgres.dsn(), autocommit=True) as c:
            c.execute("CREATE ROLE mutual LOGIN PASSWORD 'secret' IN ROLE ocpp_writer")

    def _listener(self, port, certificate=None, key=None):
        tls = [f"cafile {self.tls.ca}", f"certfile {certificate}", f"keyfile {key}"]
        return [f"listener {port} 127.0.0.1", *(tls if certificate else [])]

    def _postgres(self, workspace):
        certificate, key = self.certificates["right"]
        cluster = rig.Postgres(workspace, fast=True, name="refusing_postgres", settings={
            "ssl": "on", "ssl_ca_file": f"'{self.tls.ca}'", "ssl_crl_file": f"'{self.crl}'",
            "ssl_cert_file": f"'{certificate}'", "ssl_key_file": f"'{key}'"}).start()
        hba = os.path.join(cluster.data, "pg_hba.conf")
        with open(hba, encoding="ascii") as f:
            rest = f.read()
        with open(hba, "w", encoding="ascii") as f:
            f.write("hostssl all mutual all scram-sha-256 clientcert=verify-ca\n" + rest)
        return cluster

    def show(self, which):
        """PostgreSQL presents this certificate from now on, or "no TLS"."""
        certificate, key = self.certificates.get(which, self.certificates["right"])
        tls = "off" if which == "no TLS" else "on"
        with psycopg.connect(self.postgres.dsn(), autocommit=True) as c:
            c.execute(f"ALTER SYSTEM SET ssl = {tls}")
            c.execute(f"ALTER SYSTEM SET ssl_cert_file = '{certificate}'")
            c.execute(f"ALTER SYSTEM SET ssl_key_file = '{key}'")
            c.execute("SELECT pg_reload_conf()")

        def shown():
            with psycopg.connect(self.postgres.dsn()) as c:
                return c.execute("SELECT current_setting('ssl_cert_file'), current_setting('ssl')"
                                 ).fetchone() == (certificate, tls)

        rig.wait_until(shown, what="a PostgreSQL that has read its settings")

    def settings(self, server="right", client="none", mutual=False, listed=False):
        certificate, key = self.clients[client]
        port = self.mutual_port if mutual else self.ports[server]
        d = self.database
        user = "mutual" if mutual else d["storage.postgres.user"]
        return {
            "mqtt.url": f"mqtts://127.0.0.1:{port}", "mqtt.tls_ca": self.tls.ca,
            "mqtt.tls_certificate": certificate, "mqtt.tls_key": key,
            "mqtt.tls_crl": self.crl if listed else "",
            "storage.url": f"host=127.0.0.1 port={self.postgres.port} dbname={self.database_name}"
            f" user={user} password=secret sslmode=verify-full sslrootcert={self.tls.ca}"
            + (f" sslcert={certificate} sslkey={key}" if certificate else "")
            + (f" sslcrl={self.crl}" if listed else "")}


@pytest.fixture(scope="module")
def servers(workspace):
    return Servers(workspace)


def rows_of_the_table():
    """{what does not fit: (words of the broker's check, words of PostgreSQL's)}"""
    with open(os.path.join(ROOT, "SECURITY.md"), encoding="utf-8") as f:
        section = f.read().partition("\n## Certificates that are refused\n")[2]
    rows = re.findall(r"^\| ([^|`]+) \| `([^`]+)` \| `([^`]+)` \|$", section, re.M)
    return {what: (broker, database) for what, broker, database in rows}


TABLE = rows_of_the_table()
# What the servers show or want, for each row of the table.
CASES = {
    "Theirs is for another host": {"server": "of another host"},
    "Theirs has expired": {"server": "expired"},
    "Theirs is not valid yet": {"server": "not valid yet"},
    "Theirs is of an authority that we do not know": {"server": "of an unknown authority"},
    "Theirs was revoked": {"server": "revoked", "listed": True},
    "They have none: no TLS": {"server": "no TLS"},
    "They ask for one of ours, and none is set": {"client": "none", "mutual": True},
    "Ours has expired": {"client": "expired", "mutual": True},
    "Ours is of an authority that they do not know": {"client": "of an unknown authority",
                                                      "mutual": True},
    "Ours was revoked": {"client": "revoked", "mutual": True},
}


def said(which, output):
    """The line about the broker, or the database."""
    return re.search(rf"^{which} .*: failed: (.*)$", output, re.M)[1]


def test_the_table_has_every_case():
    assert list(TABLE) == list(CASES)


@pytest.mark.parametrize("which", CASES)
def test_what_is_said_of_certificates_that_do_not_fit(servers, tmp_path, which):
    case = CASES[which]
    servers.show(case.get("server", "right"))
    done = run_cli({**servers.settings(**case), "spool.dir": tmp_path / "spool"}, "config", "check",
                   "--connect")
    assert done.returncode == 7, done
    for side, words in zip(("broker", "database"), TABLE[which]):
        line = said(side, done.stdout)
        for part in words.split(" ... "):
            assert part in line, (which, line)
    assert "secret" not in done.stdout + done.stderr


def test_right_certificates_of_both_sides_are_taken(servers, tmp_path):
    servers.show("right")
    for mutual in (False, True):
        done = run_cli({**servers.settings(client="right", mutual=mutual, listed=True),
                        "spool.dir": tmp_path / "spool"}, "config", "check", "--connect")
        assert done.returncode == 0, done


def test_the_service_waits_for_a_certificate_that_fits(servers, persister):
    """It says why, and tries again with pauses; once the certificate fits, it is connected."""
    servers.show("expired")
    settings = servers.settings("expired")
    p = persister({**settings, "mqtt.password": "secret", "mqtt.user": "us"},
                  environment={"FAILPOINT_HASTE": "20"}).start()
    assert "certificate has expired" in p.wait_event("broker_lost")["msg"]
    lost = p.wait_event("database_lost")
    assert "certificate verify failed" in lost["msg"] and lost["heals"] == "by_a_person"
    servers.show("right")
    p.wait_event("database_connected", timeout=120)
    assert len(p.events("broker_connected")) == 0
    with open(p.log, encoding="utf-8") as f:
        assert "password=secret" not in f.read()
    assert p.stop() == 0
