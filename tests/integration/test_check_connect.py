"""`config check --connect`: what it checks, what it reports for each check, and that it changes
nothing."""

import json
import re
import socket

import psycopg
import pytest
import rig
from conftest import run_cli, stored


def check(settings, *options):
    return run_cli(settings, *options, "config", "check", "--connect")


class Expired(rig.Certificates):
    def issue(self, name, days=-1):
        return super().issue(name, days)


DYNAMIC_SECURITY = {  # anonymous clients may subscribe to what stations send, and to nothing else
    "defaultACLAccess": {"publishClientSend": True, "publishClientReceive": True,
                         "subscribe": False, "unsubscribe": True},
    "groups": [{"groupname": "anybody", "roles": [{"rolename": "in"}]}],
    "anonymousGroup": "anybody",
    "roles": [{"rolename": "in", "acls": [
        {"acltype": "subscribePattern", "topic": "cs/in/#", "allow": True}]}],
}


class Brokers:
    """Right ones and wrong ones."""

    def __init__(self, workspace):
        self.tls = rig.Certificates(workspace, "connect_tls")
        self.other = rig.Certificates(workspace, "connect_other")
        expired = Expired(workspace, "connect_expired")
        config = workspace.write(f"{workspace.folder('connect_acl')}/security.json",
                                 json.dumps(DYNAMIC_SECURITY))
        self.good = rig.Broker(workspace, tls=self.tls, passwords={"us": "secret"},
                               name="connect_good").start()
        self.expired = rig.Broker(workspace, tls=expired, name="connect_expired_broker").start()
        self.mutual = rig.Broker(workspace, tls=self.tls, client_certificates=True,
                                 name="connect_mutual").start()
        self.strict = rig.Broker(workspace, name="connect_strict", settings=(
            "plugin /usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so",
            f"plugin_opt_config_file {config}")).start()
        self.narrow = rig.Broker(workspace, name="connect_narrow",
                                 settings=["max_packet_size 100000"]).start()
        self.silent = rig.Proxy(workspace, self.good.port)
        self.silent.stall()
        self.old = rig.Proxy(workspace, self.good.port)
        self.garbage = workspace.write(f"{workspace.folder('connect_garbage')}/ca.crt", "no PEM\n")

    def full(self):
        """A port where no connection is ever made: its backlog is full, and nobody accepts."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        self.waiting = [listener]
        for _ in range(4):
            waits = socket.socket()
            waits.setblocking(False)
            waits.connect_ex(listener.getsockname())
            self.waiting.append(waits)
        return f"mqtt://127.0.0.1:{listener.getsockname()[1]}"

    def speaks_3_1_1(self):
        self.old.refuse_connect(0x84)
        return f"mqtt://127.0.0.1:{self.old.port}"


@pytest.fixture(scope="module")
def brokers(workspace):
    return Brokers(workspace)


US = {"mqtt.user": "us", "mqtt.password": "secret"}
NO_BROKER = r"^broker {url}: failed: "

# Settings, from the brokers; exit code; a line of the output. {url} is mqtt.url, {at} its host and
# port.
BROKERS = {
    "right": (lambda b: {"mqtt.url": b.good.url, **US}, 0, r"^broker {url}: ok, MQTT 5$"),
    "right, 3.1.1": (lambda b: {"mqtt.url": b.good.url, "mqtt.version": "3.1.1", **US}, 0,
                     r"^broker {url}: ok, MQTT 3\.1\.1$"),
    "does not speak 5": (lambda b: {"mqtt.url": b.speaks_3_1_1(), **US}, 0,
                         r"^broker {url}: ok, MQTT 3\.1\.1$"),
    "takes small packets only": (lambda b: {"mqtt.url": b.narrow.url}, 0,
                                 r"^broker {url}: note: it accepts packets of at most 100000 "
                                 r"bytes, less than mqtt\.message_bytes_max \(1048576\); to do: "),
    "takes no less than we do": (lambda b: {"mqtt.url": b.narrow.url,
                                            "mqtt.message_bytes_max": "50KiB"}, 0,
                                 r"^broker {url}: ok, MQTT 5\ntopic"),
    "right, TLS": (lambda b: {"mqtt.url": b.good.tls_url, "mqtt.tls_ca": b.tls.ca, **US}, 0,
                   r'^topic "cs/in/\+/\+" at {url}: ok$'),
    "wrong password": (lambda b: {"mqtt.url": b.good.url, **US, "mqtt.password": "no"}, 7,
                       NO_BROKER + r"could not connect to the broker at {at}: Not authorized; "
                       r"to do: see mqtt\.user and mqtt\.password"),
    "wrong password, 3.1.1": (lambda b: {"mqtt.url": b.good.url, "mqtt.version": "3.1.1"}, 7,
                              NO_BROKER + r"could not connect to the broker at {at}: "
                              r"not authorized; to do: see mqtt\.user"),
    "nobody listens": (lambda b: {"mqtt.url": f"mqtt://127.0.0.1:{rig.free_port()}"}, 7,
                       NO_BROKER + r"could not connect to the broker: {at}: Connection refused; "
                       r"to do: if this lasts, see mqtt\.url"),
    "no such host": (lambda b: {"mqtt.url": "mqtt://no.such.host.invalid:1884"}, 7,
                     NO_BROKER + r"could not connect to the broker: {at}: (Name or service not "
                     r"known|No address associated with hostname); to do: see mqtt\.url: no such "
                     r"host is known$|"
                     + NO_BROKER + ".*: Temporary failure in name resolution; to do: if this "
                     r"lasts, see mqtt\.url: is the name right"),
    "never answers": (lambda b: {"mqtt.url": f"mqtt://127.0.0.1:{b.silent.port}",
                                 "mqtt.connect_timeout": "2s"}, 7,
                      NO_BROKER + r".*(did not answer within 2 s|{at}: .*(timeout|timed out)); "
                      r"to do: if this lasts, see mqtt\.url"),
    "never takes the connection": (lambda b: {"mqtt.url": b.full(), "mqtt.connect_timeout": "2s"},
                                   7, NO_BROKER + r".*{at}: .*(timeout|timed out); to do: if this "
                                   r"lasts, see mqtt\.url"),
    "certificate of another host": (
        lambda b: {"mqtt.url": f"mqtts://localhost:{b.good.tls_port}", "mqtt.tls_ca": b.tls.ca,
                   **US}, 7,
        NO_BROKER + r'the certificate of the broker at {at} is refused .*: hostname mismatch: it '
        r'is not for "localhost" \(certificate of "CN = 127\.0\.0\.1", for IP '
        r'Address:127\.0\.0\.1\); to do: see mqtt\.url, mqtt\.tls_ca'),
    "expired": (lambda b: {"mqtt.url": b.expired.tls_url, "mqtt.tls_ca": b.expired.tls.ca}, 7,
                NO_BROKER + r'the certificate of the broker at {at} is refused .*: certificate has '
                r'expired \(.*valid from .* to .*; to do: see mqtt\.url'),
    "unknown authority": (lambda b: {"mqtt.url": b.good.tls_url, "mqtt.tls_ca": b.other.ca}, 7,
                          NO_BROKER + r'the certificate of the broker at {at} is refused .*: '
                          r'self-signed certificate in certificate chain \(certificate of "CN = '
                          r'test authority"'),
    "no authority": (lambda b: {"mqtt.url": b.good.tls_url, **US}, 7,
                     NO_BROKER + r"the certificate of the broker at {at} is refused .*: "
                     r"self-signed certificate in certificate chain"),
    "file of authorities without one": (
        lambda b: {"mqtt.url": b.good.tls_url, "mqtt.tls_ca": b.garbage}, 7,
        NO_BROKER + r'mqtt\.tls_ca: could not use ".*/ca\.crt": no certificate or crl found; to '
        r"do: see mqtt\.tls_ca: a file in PEM format"),
    "file of a client certificate without one": (
        lambda b: {"mqtt.url": b.mutual.tls_url, "mqtt.tls_ca": b.tls.ca,
                   "mqtt.tls_certificate": b.garbage, "mqtt.tls_key": b.tls.ca_key}, 7,
        NO_BROKER + r'mqtt\.tls_certificate: could not use ".*/ca\.crt": .*; to do: see '
        r"mqtt\.tls_certificate"),
    "key of another certificate": (
        lambda b: {"mqtt.url": b.mutual.tls_url, "mqtt.tls_ca": b.tls.ca,
                   "mqtt.tls_certificate": b.mutual.certificate, "mqtt.tls_key": b.tls.ca_key}, 7,
        NO_BROKER + r'mqtt\.tls_key: could not use ".*/ca\.key": key values mismatch; to do: '
        r"see mqtt\.tls_key"),
    "client certificate wanted": (
        lambda b: {"mqtt.url": b.mutual.tls_url, "mqtt.tls_ca": b.tls.ca}, 7,
        NO_BROKER + r"could not connect to the broker at {at}: .*; to do: .*client certificate, "
        r"set mqtt\.tls_certificate"),
    "TLS where there is none": (lambda b: {"mqtt.url": f"mqtts://127.0.0.1:{b.good.port}",
                                           "mqtt.tls_ca": b.tls.ca}, 7,
                                NO_BROKER + r"could not connect to the broker at {at}: .*; to do: "
                                r"see mqtt\..*without TLS it begins with mqtt://$"),
    "no TLS where there is": (lambda b: {"mqtt.url": f"mqtt://127.0.0.1:{b.good.tls_port}"}, 7,
                              NO_BROKER + r"the broker at {at} closed the connection before "
                              r"answering; to do: does it expect TLS \(mqtts://\)\?"),
    "topic that is refused": (
        lambda b: {"mqtt.url": b.strict.url}, 7,
        r'^topic "cs/out/\+/\+" at {url}: failed: the broker refused the subscription to '
        r'"cs/out/\+/\+": Not authorized; to do: see mqtt\.topics'),
    "topic that is refused, 3.1.1": (
        lambda b: {"mqtt.url": b.strict.url, "mqtt.version": "3.1.1", "mqtt.group": "g"}, 7,
        r'^topic "cs/out/\+/\+" at {url}: failed: the broker refused the subscription to '
        r'"cs/out/\+/\+": not allowed; to do: see mqtt\.topics'),
    "one of two": (lambda b: {"mqtt.url": f"mqtt://127.0.0.1:{rig.free_port()}, {b.good.url}",
                              **US}, 7, r"^broker mqtt://127.0.0.1:\d+: ok, MQTT 5$"),
}


@pytest.mark.parametrize("which", BROKERS)
def test_what_is_said_of_a_broker(brokers, migrated, tmp_path, which):
    make, code, line = BROKERS[which]
    settings = {**migrated.writer_settings(), "spool.dir": tmp_path / "spool", **make(brokers)}
    done = check(settings)
    url = re.escape(settings["mqtt.url"])
    wanted = line.replace("{url}", url).replace("{at}", url.partition("://")[2])
    assert done.returncode == code, done
    assert re.search(wanted, done.stdout, re.M), (wanted, done.stdout)
    # The database is tried all the same.
    assert re.search(r'^database "\w+" at 127\.0\.0\.1:\d+ as "persister": ok, PostgreSQL \d+',
                     done.stdout, re.M)
    assert re.search(r"^schema ocpp: ok, version \d+$", done.stdout, re.M)
    assert re.search(r'^rights in database ".*: ok$', done.stdout, re.M)
    if which.startswith("topic"):
        assert re.search(rf'^topic "cs/in/\+/\+" at {url}: ok$', done.stdout, re.M)
    assert done.stdout.count(": failed: ") == (code != 0)
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize("name", ["mqtt.tls_ca", "mqtt.tls_crl", "storage.postgres.ssl_root_cert"])
def test_file_that_cannot_be_read_is_named_before_anybody_is_asked(tmp_path, name):
    done = check({name: tmp_path / "nothing"})
    assert done.returncode == 3 and done.stdout == "", done
    assert f'{name}: could not read "{tmp_path}/nothing": No such file' in done.stderr


# ---- the database ----


def admin(database, *statements):
    with psycopg.connect(database.dsn(), autocommit=True,
                         options="-c search_path=ocpp") as connection:
        for sql in statements:
            connection.execute(sql)


def role(database, name, *grants):
    """A new role, with these rights."""
    admin(database, f"CREATE ROLE {name} LOGIN PASSWORD 'secret'",
          *(f"GRANT {grant} TO {name}" for grant in grants))
    return {"storage.postgres.user": name, "storage.postgres.password": "secret"}


def sql(*statements):
    """The right settings, once these have run."""
    return lambda database, _: admin(database, *statements) or {}


def host(name, port=None):
    return lambda *_: {"storage.postgres.host": name,
                       "storage.postgres.port": port or rig.free_port()}


OK_DATABASE = r'^database "{database}" at {at} as "\w+": ok, PostgreSQL '
NO_DATABASE = r'^database "{database}" at {at} as "\w+": failed: '
NO_SCHEMA = r"^schema ocpp: failed: "
NO_RIGHTS = r'^rights in database "{database}" at {at} as "\w+": failed: role "\w+" lacks rights '

# Settings, from the database and the fixture `proxy`; exit code; a line of the output.
DATABASES = {
    "right": (sql(), 0, OK_DATABASE),
    "by URL": (lambda d, _: {"storage.url": "postgres://persister:secret@{}/{}".format(
        "127.0.0.1:%s" % d.settings()["storage.postgres.port"], d.name)}, 0, OK_DATABASE),
    "nobody listens": (host("127.0.0.1"), 4,
                       NO_DATABASE + r".*Connection refused.*; to do: see storage\.url, or "
                       r"storage\.postgres\.host"),
    "no such host": (host("no.such.host.invalid"), 4,
                     NO_DATABASE + r'.*"no\.such\.host\.invalid".*: (Name or service|Temporary|No '
                     r"address).*; to do: see storage"),
    "never answers": (lambda d, proxy: {**stalled(d, proxy),
                                        "storage.postgres.connect_timeout": "2s"}, 4,
                      NO_DATABASE + r".*did not accept the connection in time.*; to do: see st"),
    "wrong password": (lambda *_: {"storage.postgres.password": "no"}, 4,
                       NO_DATABASE + r'.*password authentication failed for user "persister".*; '
                       r"to do: see storage\.postgres\.user"),
    "no such role": (lambda *_: {"storage.postgres.user": "nobody"}, 4,
                     NO_DATABASE + r'.*"nobody".*; to do: see storage\.postgres\.user'),
    "no such database": (lambda *_: {"storage.postgres.database": "nothing"}, 4,
                         r'^database "nothing" at {at} as .*: failed: .*"nothing" does not exist'
                         r".*; to do: see storage\.postgres\.database"),
    "TLS where there is none": (lambda *_: {"storage.postgres.ssl_mode": "require"}, 4,
                                NO_DATABASE + r".*server does not support SSL.*; to do: see "
                                r"storage\.postgres\.ssl_mode"),
    "read-only": (lambda d, _: admin(d, f"ALTER DATABASE {d.name} SET "
                                     "default_transaction_read_only = on") or {}, 4,
                  NO_DATABASE + r"transactions are read-only there.*; to do: see "
                  r"default_transaction_read_only"),
    "not migrated": (sql("DROP SCHEMA ocpp CASCADE"), 5,
                     NO_SCHEMA + r'the database has no schema "ocpp" of ocpp-persister; to do: '
                     r"`ocpp-persister migrate up`"),
    "nothing applied": (sql("DELETE FROM schema_migrations"), 5,
                        NO_SCHEMA + "the database has no schema yet; to do: `ocpp-persister mig"),
    "behind": (sql("UPDATE schema_migrations SET version = version - 1"), 5,
               NO_SCHEMA + r"the database is at version \d+, this program needs \d+; to do: "
               r"`ocpp-persister migrate up`"),
    "ahead": (sql("UPDATE schema_migrations SET version = version + 1"), 5,
              NO_SCHEMA + r"the database is at version \d+, this program knows \d+; to do: run"),
    "dirty": (sql("UPDATE schema_migrations SET dirty = true"), 5,
              NO_SCHEMA + r"migration \d+ .*begun and not finished; to do: see `ocpp-persister"),
    "no rights at all": (lambda d, _: role(d, f"none_{d.name}"), 4,
                         NO_RIGHTS + r".*USAGE on schema ocpp.*; to do: .*GRANT ocpp_writer TO "),
    "no schema is not no rights": (
        lambda d, _: admin(d, "REVOKE ALL ON SCHEMA ocpp FROM ocpp_writer") or {}, 4,
        NO_RIGHTS + r"that it needs: USAGE on schema ocpp.*; to do: "
        "`ocpp-persister migrate roles`, as the owner, or: GRANT USAGE ON SCHEMA ocpp"),
    "the role of readers": (
        lambda d, _: role(d, f"reports_{d.name}", "ocpp_reader"), 4,
        NO_RIGHTS + r".*; to do: GRANT TEMPORARY ON .*; GRANT ocpp_writer TO reports_\w+; or is "
        r"storage\.postgres\.user the wrong role\?$"),
    "one right is missing": (sql("REVOKE UPDATE ON tokens FROM ocpp_writer"), 4,
                             NO_RIGHTS + r"that it needs: UPDATE on ocpp\.tokens; to do: "
                             r"`ocpp-persister migrate roles`, as the owner, or: GRANT UPDATE "
                             r"ON ocpp\.tokens TO persister$"),
    "partitions that are too old may not be dropped": (
        lambda d, _: admin(d, "REVOKE EXECUTE ON FUNCTION drop_retired FROM ocpp_writer") or {
            "retention.meter_values": "90d"}, 4,
        NO_RIGHTS + r"that it needs for \[retention\]: EXECUTE on ocpp\.drop_retired\(text\); "
        r"to do: "
        r"`ocpp-persister migrate roles`, as the owner, or: GRANT EXECUTE ON FUNCTION "
        r"ocpp\.drop_retired\(text\) TO persister"),
    "partitions that are left to a command": (
        lambda d, _: admin(d, "REVOKE EXECUTE ON FUNCTION drop_retired FROM ocpp_writer") or {
            "retention.meter_values": "90d", "retention.drop": "false"}, 0,
        r"^rights in database .*: ok$"),
    "no temporary tables": (
        lambda d, _: admin(d, f"REVOKE TEMPORARY ON DATABASE {d.name} FROM ocpp_writer") or {}, 4,
        NO_RIGHTS + r"that it needs: TEMPORARY on database \w+; to do: GRANT TEMPORARY ON DATA"),
    "no temporary tables, and a right is missing": (
        lambda d, _: admin(d, f"REVOKE TEMPORARY ON DATABASE {d.name} FROM ocpp_writer",
                           "REVOKE UPDATE ON tokens FROM ocpp_writer") or {}, 4,
        NO_RIGHTS + r".*; to do: GRANT TEMPORARY ON DATABASE \w+ TO persister; `ocpp-persister "
        r"migrate roles`, as the owner, or: GRANT UPDATE ON ocpp\.tokens TO persister$"),
}


def stalled(database, proxy):
    made = proxy(database.settings()["storage.postgres.port"])
    made.stall()
    return {"storage.postgres.port": made.port}


@pytest.mark.parametrize("which", DATABASES)
def test_what_is_said_of_a_database(brokers, migrated, proxy, tmp_path, which):
    make, code, line = DATABASES[which]
    settings = {**migrated.writer_settings(), "mqtt.url": brokers.good.url, **US,
                "spool.dir": tmp_path / "spool"}
    made = make(migrated, proxy)
    settings.update(made)
    if "storage.url" in made:
        settings = {name: value for name, value in settings.items()
                    if not name.startswith("storage.postgres.")}
    done = check(settings)
    at = "{}:{}".format(*(settings.get(f"storage.postgres.{part}", migrated.settings()[
        f"storage.postgres.{part}"]) for part in ("host", "port")))
    wanted = line.replace("{at}", re.escape(at)).replace("{database}", migrated.name)
    assert done.returncode == code, done
    assert re.search(wanted, done.stdout, re.M), (wanted, done.stdout)
    assert done.stdout.count(": failed: ") == (code != 0), done.stdout
    assert f"broker {brokers.good.url}: ok, MQTT 5\n" in done.stdout
    assert not re.search(r"\bsecret\b", done.stdout + done.stderr)


def test_table_that_somebody_has_locked_is_not_waited_for_without_end(brokers, migrated):
    settings = {**migrated.writer_settings(), "mqtt.url": brokers.good.url, **US,
                "storage.postgres.timeout": "2s"}
    holder = migrated.connect(autocommit=False)
    holder.execute("LOCK TABLE schema_migrations")
    done = check(settings)
    assert done.returncode == 4 and "schema ocpp: failed: PostgreSQL did not answer in time" in (
        done.stdout), done


def test_first_failure_is_the_exit_code(migrated):
    nowhere = f"mqtt://127.0.0.1:{rig.free_port()}"
    done = check({**migrated.writer_settings(), "mqtt.url": nowhere,
                  "storage.postgres.port": rig.free_port()})
    assert done.returncode == 7 and done.stdout.count(": failed: ") == 2, done


def test_nothing_is_changed(running, migrated, broker, publish, tmp_path):
    """Beside a worker of a group: its session, its messages and its rows stay its own."""
    worker = running({"mqtt.group": "persisters", "secrets.keys": "portalCode"})
    settings = {**worker.settings, "secrets.keys": "otherCode", "spool.dir": tmp_path / "spool"}
    # The broker keeps one for whoever subscribes.
    kept = json.dumps({"type": 2, "action": "Heartbeat", "id": "0", "request": {}})
    publish.client.publish("cs/in/ocpp1.6/kept", kept, 1, retain=True)
    stored(migrated, 1)
    facts = """SELECT (SELECT count(*) FROM ingest_progress), (SELECT backend_pid FROM
        ingest_progress), (SELECT array_agg(word ORDER BY word) FROM secret_keys)"""
    before = migrated.rows(facts)
    done = check(settings)
    assert done.returncode == 0, done
    for number in range(20):
        publish.call(f"cs{number}", "Heartbeat", {})
    assert check(settings).returncode == 0
    stored(migrated, 21)
    assert migrated.rows(facts) == before
    assert not (tmp_path / "spool").exists()
    assert len(worker.events("broker_connected")) == 1 and not worker.events("broker_lost")
    # The broker reports about its clients: a clean session (c1), and its end.
    with open(broker.log) as f:
        said = f.read()
    probes = re.findall(r"New client connected from \S+ as (\S+-check-\w+) \(p5, (c\d)", said)
    assert len(probes) == 4  # a connection for each of two topics, twice
    for name, clean in probes:
        assert name.startswith(worker.settings["mqtt.client_id"]) and clean == "c1"
        rig.wait_until(lambda name=name: f"Client {name} disconnected" in open(broker.log).read(),
                       rig.STILL_S, f"the end of {name}")
