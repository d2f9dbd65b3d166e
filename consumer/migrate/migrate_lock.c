#include "migrate/migrate_private.h"

#include "base/clock.h"
#include "pg/connect.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/*
 * golang-migrate's advisory lock (database/util.go, database/postgres/postgres.go of v4): the
 * CRC-32 of schema, table and database, joined by NUL bytes, times a salt.
 *
 * What it uses as the database's name depends on how it was opened: with a URL (its command line,
 * and most programs), it is the URL's path, with the slash; with an open connection, it is
 * current_database(). So we take the locks of both names. It takes only one of them, so a deadlock
 * is impossible.
 */
static const uint32_t LOCK_SALT = 1486364155;
static const int64_t LOCK_WAIT_US = 600 * US_PER_SECOND;
static const int64_t LOCK_TRY_US = 50 * US_PER_MS;
static const char LOCK_TABLE[] = "schema_migrations";

enum { LOCK_NAMES = 2, LOCK_NAME_BYTES = 80 };

/* IEEE 802.3, bit by bit: a table is not worth it for a few names per run. */
static uint32_t lock_crc32(uint32_t crc, const char *bytes, size_t size)
{
	crc = ~crc;
	for (size_t i = 0; i < size; i++) {
		crc ^= (uint8_t)bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
	}
	return ~crc;
}

uint32_t migrate_lock_id(const char *schema, const char *table, const char *database)
{
	uint32_t crc = lock_crc32(0, schema, strlen(schema) + 1);

	crc = lock_crc32(crc, table, strlen(table) + 1);
	crc = lock_crc32(crc, database, strlen(database));
	return crc * LOCK_SALT;
}

/* One statement about lock number i: "pg_try_advisory_lock" or "pg_advisory_unlock". */
static bool lock_call(struct migrate *m, const char *function, int i, bool *done_out,
	struct error *err)
{
	char sql[128], name[LOCK_NAME_BYTES];
	PGresult *result;

	snprintf(name, sizeof(name), "%s%s", i == 0 ? "" : "/", PQdb(m->conn));
	snprintf(sql, sizeof(sql), "SELECT pg_catalog.%s(%u)", function,
		migrate_lock_id(m->options.schema, LOCK_TABLE, name));
	result = pg_query(m->conn, sql, 0, NULL, err);
	if (result == NULL)
		return false;
	*done_out = PQgetvalue(result, 0, 0)[0] == 't';
	PQclear(result);
	return true;
}

static void lock_pause(void)
{
	struct timespec pause = {.tv_nsec = LOCK_TRY_US * 1000};

	nanosleep(&pause, NULL);
}

bool migrate_lock(struct migrate *m, struct error *err)
{
	int64_t deadline = clock_mono_us() + LOCK_WAIT_US;
	bool said = false, done;

	/* Poll instead of waiting in the server: a waiting statement holds a snapshot, and the
	 * other migration's CREATE INDEX CONCURRENTLY waits for all older snapshots to go. */
	for (int held = 0; held < LOCK_NAMES; held += done) {
		if (!lock_call(m, "pg_try_advisory_lock", held, &done, err))
			return false;
		if (done)
			continue;
		if (!migrate_goes_on(m, err)) {
			migrate_unlock(m);
			return false;
		}
		if (clock_mono_us() > deadline) {
			migrate_unlock(m);
			error_set(err, ERROR_TRANSIENT, REASON_locked,
				"another migration of schema \"%s\" has been running for 10 min",
				m->options.schema);
			return error_hint(err,
				"pg_locks shows who holds the lock (locktype advisory, objid %u)",
				migrate_lock_id(m->options.schema, LOCK_TABLE, PQdb(m->conn)));
		}
		if (!said)
			migrate_say(m, "another migration of schema \"%s\" is running, waiting",
				m->options.schema);
		said = true;
		lock_pause();
	}
	return true;
}

void migrate_unlock(struct migrate *m)
{
	bool done;

	/* A lost connection has released its locks; a lock that is not held is not an error. */
	for (int i = LOCK_NAMES - 1; i >= 0; i--)
		(void)lock_call(m, "pg_advisory_unlock", i, &done, NULL);
}
