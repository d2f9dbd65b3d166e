"""Commands that change a database: each has one of its own, a copy of one that is prepared once.
One call fails, then all is done again without, and then the tables must be as after an untouched
run."""

import json
import os
import shutil

import servers

WAYS = ["libpq", "cut", "memory", "EIO", "ENOSPC", "EINTR", "short"]
TOKEN = "TOKEN-THAT-NOBODY-ELSE-HAS"
VERSION_BEFORE = 40  # of the schema that is migrated

# All that migrations make, as text.
SCHEMA = """
    SELECT format('%s.%s %s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod),
        attnotnull) FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (
        SELECT oid FROM pg_class WHERE relnamespace = 'ocpp'::regnamespace)
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'ocpp'
    UNION ALL SELECT viewname || definition FROM pg_views WHERE schemaname = 'ocpp'
    UNION ALL SELECT pg_get_functiondef(oid) || coalesce(proacl::text, '') FROM pg_proc
        WHERE pronamespace = 'ocpp'::regnamespace AND prokind <> 'a'
    UNION ALL SELECT format('%s %s', relname, relacl) FROM pg_class
        WHERE relnamespace = 'ocpp'::regnamespace
    UNION ALL SELECT format('%s %s', objoid, description) FROM pg_description
        WHERE objoid::regclass::text LIKE 'ocpp.%'"""


class Changing:
    """prepare() makes the database to copy; once() is the command."""

    cost = 8
    ways = WAYS
    few = ["cut", "EIO"]

    def __init__(self, stage):
        self.stage, self.cluster = stage, stage.cluster()
        self.template = self.cluster.copy()
        self.prepare(self.template)
        self.template.close()
        self.unused = None  # (database, folder) that are as prepared
        # Two untouched runs: where they differ, others may differ, too. They also count the calls.
        self.counts = {}
        first, second = (self._untouched(way) for way in (self.few or self.ways)[:2])
        self.differ = {(table, key) for (table, a), (_, b) in zip(first, second)
                       for key in a if a[key] != b.get(key)}
        self.wanted = self._settled(first)
        assert self.wanted == self._settled(second)

    def prepare(self, database):
        """What most of them need."""
        self._fill(database)

    def _settled(self, rows):
        return sorted((table, *sorted((key, value) for key, value in row.items()
                                      if (table, key) not in self.differ)) for table, row in rows)

    def _fill(self, database, token="TAG"):
        path = self.stage.path("capture")
        servers.capture(path, "stationold")
        with open(path, encoding="ascii") as f:
            text = f.read().replace("TAG", token)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        ran = self.stage.program("none", 0, *database.options(), "replay", path)
        assert ran.exit == 0, ran

    def begin(self):
        """(database, folder) of a run."""
        if self.unused:
            made, self.unused = self.unused, None
            return made
        folder = self.stage.path("folder")
        os.mkdir(folder)
        return self.cluster.copy(self.template), folder

    def end_of(self, database, folder):
        database.drop()
        shutil.rmtree(folder)

    def state(self, database, folder, ran):
        """What must be as it is after an untouched run."""
        return database.contents()

    def _untouched(self, way):
        database, folder = self.begin()
        ran = self.once(database, folder, way, 0)
        assert ran.exit == 0, ran
        self.counts[way] = ran.calls
        state = self.state(database, folder, ran)
        self.end_of(database, folder)
        return state

    def count(self, way):
        if way not in self.counts:
            self._untouched(way)
        return self.counts[way]

    def fail(self, way, call):
        database, folder = self.begin()
        ran = last = self.once(database, folder, way, call)
        found = [*ran.broken()]
        if ran.did_nothing():
            self.unused = database, folder
            return ran, found
        if ran.exit != 0:
            last = self.once(database, folder, "none", 0)
            if last.exit != 0:
                found.append(f"without a fault again: {last} after {ran.err[-1000:]}")
        found += [f"left over: {what}" for what in database.leftovers()]
        try:
            said = self._settled(self.state(database, folder, last))
        except AssertionError as e:
            said = self.wanted
            found.append(f"afterwards: {e}")
        found += [f"lost or altered: {row}" for row in self.wanted if row not in said]
        found += [f"doubled or altered: {row}" for row in said
                  if said.count(row) != self.wanted.count(row)]
        if found:
            found = [f"{what[:1500]}" for what in found[:4]]
            found.append(f"exit={ran.exit} {ran.err[-1000:]!r}")
        self.end_of(database, folder)
        return ran, found

    def end(self):
        if self.unused:
            self.end_of(*self.unused)
        self.cluster.postgres.psql(f"DROP DATABASE {self.template.name} WITH (FORCE)")
        return []


def without_progress(contents):
    return [(table, row) for table, row in contents if table != "ingest_progress"]


class Archive(Changing):
    """Old partitions become files; these are replayed, and all must be there as it was."""

    name = "archive"

    def once(self, database, folder, way, call):
        return self.stage.program(way, call, *database.options(), "partitions", "archive",
                                  "--older-than", "30d", "--trust-clock", "--to", folder)

    def state(self, database, folder, ran):
        left = database.contents()
        assert len(os.listdir(folder)) > 3, "nothing is archived"
        restored = self.stage.program("none", 0, *database.options(), "replay", folder)
        assert restored.exit == 0, restored
        return [*((f"archived {table}", row) for table, row in left),
                *(("file", {"name": name}) for name in sorted(os.listdir(folder))),
                *without_progress(database.contents())]


class Restore(Archive):
    """The other way round: it is the replay of the files that fails."""

    name = "restore"
    few = []

    def prepare(self, database):
        super().prepare(database)
        self.files = self.stage.path("archived")
        os.mkdir(self.files)
        ran = super().once(database, self.files, "none", 0)
        assert ran.exit == 0 and os.listdir(self.files), ran

    def once(self, database, folder, way, call):
        return self.stage.program(way, call, *database.options(), "replay", self.files)

    def state(self, database, folder, ran):
        return without_progress(database.contents())


class Forget(Changing):
    """A token is replaced by the same pseudonym everywhere."""

    name = "forget"
    few = ["cut", "libpq"]

    def prepare(self, database):
        self._fill(database, TOKEN)

    def once(self, database, folder, way, call):
        return self.stage.program(way, call, *database.options(), "forget", "--json", TOKEN)

    def state(self, database, folder, ran):
        pseudonym = json.loads(ran.out)["pseudonym"]
        rows = database.contents()
        assert TOKEN not in str(rows), "the token is still there"
        return [(table, {key: value.replace(pseudonym, "PSEUDONYM") for key, value in row.items()})
                for table, row in rows]


class Migrate(Changing):
    """The last migrations are applied."""

    name = "migrate"
    few = ["cut", "libpq"]

    def prepare(self, database):
        database.close()
        self._migrate(database, "none", 0, "goto", VERSION_BEFORE)

    def _migrate(self, database, way, call, *words):
        options = [f"--{key}={value}" for key, value in database.made.settings().items()]
        return self.stage.program(way, call, *options, "migrate", *words)

    def once(self, database, folder, way, call):
        return self._migrate(database, way, call, "up")

    def state(self, database, folder, ran):
        return [*database.contents(),
                *(("schema", {"text": text}) for text, in database.rows(SCHEMA))]


class Discard(Changing):
    """Dead letters are removed for good."""

    name = "discard"
    few = []

    def once(self, database, folder, way, call):
        return self.stage.program(way, call, *database.options(), "dead-letters", "discard",
                                  "--all")


class Drop(Changing):
    """Old partitions are dropped."""

    name = "drop"
    few = []

    def once(self, database, folder, way, call):
        return self.stage.program(way, call, *database.options(), "partitions", "drop",
                                  "--older-than", "30d", "--trust-clock")


class Requeue(servers.Stored):
    """Dead letters of good messages are stored."""

    name = "requeue"
    few = []
    ways = WAYS
    cost = 8

    def __init__(self, stage):
        self.log = stage.path("log")
        super().__init__(stage)

    def prepare(self, station):
        servers.shorten(self.log)
        for number, (topic, payload) in enumerate(servers.messages(station)):
            self.database.rows("""
                WITH made AS (INSERT INTO dead_letters (topic_digest, topic, payload_digest, reason,
                    payload_bytes, payload, count, first_received_at, last_received_at, spool, seq,
                    message_index, charge_station_id)
                SELECT hashtextextended(%s, 0), %s, %s, 'not_understood', %s,
                    convert_to(%s, 'UTF8'), 1, %s, %s, gen_random_uuid(), %s, 0, %s RETURNING 1)
                SELECT * FROM made""",
                               topic, topic, number, len(payload), payload, servers.RECEIVED,
                               servers.RECEIVED, number + 1, station)

    def once(self, way, call, station):
        return self.stage.program(
            way, call, *self.database.options(), f"--spool.dir={self.log}",
            "--spool.segment_bytes=4MiB", "dead-letters", "requeue", "--reason", "not_understood")


class Store:
    """A program with the store: store_life.h."""

    name = "store_library"
    cost = 4
    ways = ["libpq", "cut", "memory", "EIO", "EINTR", "short"]

    def __init__(self, stage):
        self.stage, self.database, self.number = stage, stage.database(), 0

    def _run(self, way, call):
        s = self.database.settings
        self.number += 1
        return self.stage.run(
            way, call, "store", f"host={s['storage.postgres.host']} port="
            f"{s['storage.postgres.port']} dbname={s['storage.postgres.database']} user="
            f"{s['storage.postgres.user']} password={s['storage.postgres.password']}"
            " sslmode=disable", f"life{self.number:06}-")

    def count(self, way):
        ran = self._run(way, 0)
        assert ran.exit == 0, ran
        return ran.calls

    def fail(self, way, call):
        ran = self._run(way, call)
        found = [*ran.broken()]
        if ran.exit not in (0, 1):
            found.append(f"exit code {ran.exit}: {ran.err}")
        there = self.database.rows("SELECT count(*) FROM tokens WHERE uid LIKE %s AND NOT deleted",
                                   f"life{self.number:06}-%")
        if there != [(2,)]:
            found.append(f"exit={ran.exit}, but there are {there} ({ran.err})")
        return ran, found + [f"left over: {what}" for what in self.database.leftovers()]

    def end(self):
        return []


ALL = [Archive, Restore, Forget, Migrate, Discard, Drop, Requeue, Store]
