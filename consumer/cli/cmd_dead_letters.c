#include "cli/cli.h"

#include "base/escape.h"
#include "cli/arguments.h"
#include "cli/stream.h"
#include "daemon/feed.h"
#include "pg/pg_error.h"
#include "spool/spool.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Messages set aside. Requeued messages go through a log of their own beside spool.dir, and the
 * same pipeline as messages from the broker. A message is on disk there before its dead letter is
 * removed, and the next run looks at that folder first: whenever it is interrupted, nothing is
 * lost, and what is fed twice is a duplicate. Once everything is stored, no message stays there.
 * Memory does not grow with the number of messages: they are read one at a time, or in groups of a
 * limited size.
 */
enum {
	DEAD_LETTERS_AT_ONCE = 50,
	DEAD_LETTERS_BYTES_AT_ONCE = 4 << 20, /* and one message more */
	DEAD_LETTERS_IDS_MAX = 1000,
};

/* The selection. Numbers are text, for libpq's parameters. */
struct dead_letters_choice {
	const char *ids[DEAD_LETTERS_IDS_MAX];
	int ids_count;
	const char *reason;
	const char *station;
	bool all;
};

static bool choice_is_id(const char *text)
{
	return strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16;
}

/* The words are ids. */
static bool choice_parse(struct dead_letters_choice *c, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (!choice_is_id(argv[i]))
			(void)cli_usage("dead-letters",
				"\"%s\" is not an id: those have 16 hexadecimal digits, see list",
				argv[i]);
		else if (c->ids_count == DEAD_LETTERS_IDS_MAX)
			(void)cli_usage("dead-letters", "more than %d ids", DEAD_LETTERS_IDS_MAX);
		else
			c->ids[c->ids_count++] = argv[i];
		if (c->ids_count == i)
			return false;
	}
	return true;
}

/* An id is the digest in hexadecimal; dead letters with equal bytes share it. */
#define CHOICE_ID "to_hex(payload_digest)"
#define CHOICE_SQL                                                                                 \
	"(cardinality($1::text[]) = 0 OR lpad(" CHOICE_ID ", 16, '0') = ANY ($1)) "                \
	"AND ($2::text IS NULL OR reason = $2) "                                                   \
	"AND ($3::text IS NULL OR charge_station_id = $3)"

/* Dead letters that were only counted. */
#define BEYOND_SQL                                                                                 \
	"cardinality($1::text[]) = 0 AND ($2::text IS NULL OR reason = $2) AND $3::text IS NULL"

enum { CHOICE_PARAMS = 3 };

struct choice_params {
	char ids[DEAD_LETTERS_IDS_MAX * 17 + 3];
	const char *values[CHOICE_PARAMS];
};

static void choice_bind(struct choice_params *p, const struct dead_letters_choice *c)
{
	size_t used = 1;

	p->ids[0] = '{';
	for (int i = 0; i < c->ids_count; i++)
		used += (size_t)snprintf(p->ids + used, sizeof(p->ids) - used, "%s%s",
			i > 0 ? "," : "", c->ids[i]);
	snprintf(p->ids + used, sizeof(p->ids) - used, "}");
	p->values[0] = p->ids;
	p->values[1] = c->reason;
	p->values[2] = c->station;
}

static PGresult *choice_query(PGconn *conn, const char *sql, const struct dead_letters_choice *c,
	struct error *err)
{
	struct choice_params p;

	choice_bind(&p, c);
	return pg_query(conn, sql, CHOICE_PARAMS, p.values, err);
}

static bool choice_stream(PGconn *conn, const char *sql, const struct dead_letters_choice *c,
	bool (*on_row)(void *context, PGresult *r, struct error *err), struct error *err)
{
	struct choice_params p;

	choice_bind(&p, c);
	return stream_query(conn, sql, CHOICE_PARAMS, p.values, on_row, NULL, err);
}

/* Reports ids that do not exist, and a selection that matches nothing. *found_out is false if an id
 * is unknown: whoever gives an id wants exactly that one. */
static bool choice_find(PGconn *conn, const struct dead_letters_choice *c, bool *found_out,
	struct error *err)
{
	PGresult *r = choice_query(conn,
		"SELECT id FROM unnest($1::text[]) AS id WHERE NOT EXISTS (SELECT FROM "
		"dead_letters WHERE lpad(" CHOICE_ID ", 16, '0') = id AND ($2::text IS NULL OR "
		"reason = $2) AND ($3::text IS NULL OR charge_station_id = $3)) "
		"UNION ALL SELECT NULL WHERE cardinality($1::text[]) = 0 AND NOT EXISTS (SELECT "
		"FROM dead_letters WHERE " CHOICE_SQL ")",
		c, err);

	if (r == NULL)
		return false;
	for (int i = 0; i < PQntuples(r); i++) {
		if (PQgetisnull(r, i, 0)) {
			fprintf(stderr, "%s\n",
				c->reason != NULL || c->station != NULL
					? "no dead letter matches"
					: "there are no dead letters");
			continue;
		}
		fprintf(stderr, "there is no dead letter %s\n", PQgetvalue(r, i, 0));
		*found_out = false;
	}
	PQclear(r);
	return true;
}

/* ---- looking ---- */

/* Dead letters that the table had no room for; they have neither ids nor stations. */
static bool dead_letters_list_beyond(PGconn *conn, const struct dead_letters_choice *c,
	struct error *err)
{
	PGresult *r = choice_query(conn,
		"SELECT count, to_char(last_received_at, 'YYYY-MM-DD HH24:MI:SS'), reason, "
		"payload_bytes, spool, seq FROM dead_letters_beyond WHERE " BEYOND_SQL
		" ORDER BY reason",
		c, err);

	if (r == NULL)
		return false;
	for (int i = 0; i < PQntuples(r); i++)
		printf("%-16s  %6s  %sZ  %-18s  %-20s  %8s  the last is record %s of log %s\n",
			"(only counted)", PQgetvalue(r, i, 0), PQgetvalue(r, i, 1),
			PQgetvalue(r, i, 2), "-", PQgetvalue(r, i, 3), PQgetvalue(r, i, 5),
			PQgetvalue(r, i, 4));
	PQclear(r);
	return true;
}

/* Not all of a long list may be wanted, or fit the disk. */
static bool dead_letters_may_go_on(struct error *err)
{
	return !ferror(stdout) ||
	       error_set(err, ERROR_FATAL, REASON_output, "could not write the dead letters");
}

static bool dead_letters_list_row(void *context, PGresult *r, struct error *err)
{
	(void)context;
	if (PQntuples(r) > 0) {
		printf("%s  %6s  %sZ  ", PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1),
			PQgetvalue(r, 0, 2));
		escape_print_padded(stdout, PQgetvalue(r, 0, 3), 18);
		printf("  ");
		escape_print_padded(stdout, PQgetvalue(r, 0, 4), 20);
		printf("  %8s  ", PQgetvalue(r, 0, 5));
		escape_print_padded(stdout, PQgetvalue(r, 0, 6), 0);
		printf("\n");
	}
	PQclear(r);
	return dead_letters_may_go_on(err);
}

static bool dead_letters_list(PGconn *conn, const struct dead_letters_choice *c, struct error *err)
{
	return choice_stream(conn,
		       "SELECT lpad(" CHOICE_ID ", 16, '0'), count, "
		       "to_char(last_received_at, 'YYYY-MM-DD HH24:MI:SS'), reason, "
		       "coalesce(charge_station_id, '-'), payload_bytes, topic FROM dead_letters "
		       "WHERE " CHOICE_SQL
		       " ORDER BY last_received_at, topic, payload_digest, reason",
		       c, dead_letters_list_row, err) &&
	       dead_letters_list_beyond(conn, c, err);
}

/* Text unchanged, other bytes as \xNN; the position of the fault counts bytes. */
static void dead_letters_print_payload(const char *escaped)
{
	size_t size = 0;
	unsigned char *bytes = PQunescapeBytea((const unsigned char *)escaped, &size);

	for (size_t i = 0; bytes != NULL && i < size; i++) {
		if (bytes[i] == '\\')
			printf("\\\\");
		else if (bytes[i] < 0x20 || bytes[i] >= 0x7f)
			printf("\\x%02x", bytes[i]);
		else
			putchar(bytes[i]);
	}
	putchar('\n');
	PQfreemem(bytes);
}

static void dead_letters_print_text(const char *text)
{
	(void)escape_print(stdout, slice_from_cstr(text));
	putchar('\n');
}

static bool dead_letters_show_row(void *context, PGresult *r, struct error *err)
{
	(void)context;
	for (int f = 0; PQntuples(r) > 0 && f < PQnfields(r); f++) {
		if (PQgetisnull(r, 0, f))
			continue;
		printf("%-17s ", PQfname(r, f));
		if (strcmp(PQfname(r, f), "payload") == 0)
			dead_letters_print_payload(PQgetvalue(r, 0, f));
		else
			dead_letters_print_text(PQgetvalue(r, 0, f));
	}
	if (PQntuples(r) > 0)
		putchar('\n');
	PQclear(r);
	return dead_letters_may_go_on(err);
}

static bool dead_letters_show(PGconn *conn, const struct dead_letters_choice *c, struct error *err)
{
	return choice_stream(conn,
		"SELECT lpad(" CHOICE_ID ", 16, '0') AS id, topic, charge_station_id, reason, "
		"topic_bytes, topic_raw, detail, error_offset, count, first_received_at, "
		"last_received_at, payload_bytes, "
		"encode(payload_sha256, 'hex') AS payload_sha256, spool, seq, message_index, "
		"payload FROM dead_letters WHERE " CHOICE_SQL " ORDER BY topic, reason",
		c, dead_letters_show_row, err);
}

/* ---- removing ---- */

static bool dead_letters_discard(PGconn *conn, const struct dead_letters_choice *c,
	struct error *err)
{
	PGresult *r = choice_query(conn,
		"WITH gone AS (DELETE FROM dead_letters WHERE " CHOICE_SQL " RETURNING 1), "
		"counted AS (DELETE FROM dead_letters_beyond WHERE " BEYOND_SQL ") "
		"SELECT count(*) FROM gone",
		c, err);

	if (r == NULL)
		return false;
	printf("discarded %s\n", PQgetvalue(r, 0, 0));
	PQclear(r);
	return true;
}

/* ---- requeue ---- */

static bool requeue_open(const struct config *config, struct spool **out, struct error *err)
{
	static char dir[PATH_MAX];
	struct spool_options options = {.dir = dir,
		.sync = SPOOL_SYNC_MESSAGE,
		.segment_bytes = config->spool_segment_bytes,
		.bytes_max = INT64_MAX / 2,
		.clear = true};

	snprintf(dir, sizeof(dir), "%s.requeue", config->spool_dir);
	return spool_open(out, &options, err);
}

static bool requeue_keep(struct spool *spool, struct record *record, struct error *err)
{
	switch (spool_append(spool, record, true, err)) {
	case SPOOL_APPENDED:
		return true;
	case SPOOL_FULL:
		error_set(err, ERROR_NO_SPACE, REASON_disk_full,
			"there is no room for dead letters beside spool.dir");
		return error_hint(err, "they stay dead letters: make room and run it again");
	case SPOOL_FAILED:
		break;
	}
	return false;
}

static bool requeue_append(struct spool *spool, const PGresult *r, int row, struct error *err)
{
	size_t size = 0, topic_size = 0;
	unsigned char *bytes = PQunescapeBytea((const unsigned char *)PQgetvalue(r, row, 1), &size);
	unsigned char *topic =
		PQunescapeBytea((const unsigned char *)PQgetvalue(r, row, 0), &topic_size);
	struct record record = {.received_us = strtoll(PQgetvalue(r, row, 2), NULL, 10),
		.topic = slice_of(topic, topic_size),
		.trace = SLICE(""),
		.payload = slice_of(bytes, size)};
	bool ok;

	if (bytes == NULL || topic == NULL)
		ok = error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	else
		ok = requeue_keep(spool, &record, err);
	PQfreemem(topic);
	PQfreemem(bytes);
	return ok;
}

/*
 * Moves the next few of the selection from the table to the log, in one transaction. *taken_out:
 * how many of the selection; *moved_out: how many of them were still there, which grows.
 */
static bool requeue_some(PGconn *conn, struct spool *spool, long *taken_out, long *moved_out,
	struct error *err)
{
	/* One row with the number at least, whatever became of the dead letters. */
	static const char sql[] =
		"WITH next AS (SELECT n, sum(bytes) OVER (ORDER BY n) - bytes AS before "
		"FROM (SELECT n, bytes FROM requeue ORDER BY n LIMIT $1::integer) few), "
		"taken AS (DELETE FROM requeue WHERE n IN (SELECT n FROM next WHERE before < "
		"$2::bigint) RETURNING *), "
		"gone AS (DELETE FROM dead_letters d USING taken s "
		"WHERE d.topic_digest = s.topic_digest AND d.payload_digest = s.payload_digest AND "
		"d.reason = s.reason AND d.payload_bytes = s.payload_bytes "
		"RETURNING s.n, coalesce(d.topic_raw, convert_to(d.topic, 'UTF8')) AS topic, "
		"d.payload, (extract(epoch FROM d.first_received_at) * 1000000)::bigint AS us) "
		"SELECT gone.topic, gone.payload, gone.us, counted.number "
		"FROM (SELECT count(*) AS number FROM taken) counted LEFT JOIN gone ON true "
		"ORDER BY gone.n";
	char count[16], bytes[16];
	const char *params[] = {count, bytes};
	PGresult *r;
	bool ok;

	snprintf(count, sizeof(count), "%d", DEAD_LETTERS_AT_ONCE);
	snprintf(bytes, sizeof(bytes), "%d", DEAD_LETTERS_BYTES_AT_ONCE);
	if (!pg_exec(conn, "BEGIN", err))
		return false;
	r = pg_query(conn, sql, 2, params, err);
	if (r == NULL)
		return false;
	*taken_out = strtol(PQgetvalue(r, 0, 3), NULL, 10);
	ok = true;
	for (int i = 0; ok && i < PQntuples(r) && !PQgetisnull(r, i, 0); i++, ++*moved_out)
		ok = requeue_append(spool, r, i, err);
	PQclear(r);
	return ok && spool_sync(spool, err) && pg_exec(conn, "COMMIT", err);
}

/* Dead letters whose payload or topic was left out or cut cannot be stored. */
#define REQUEUE_WHOLE "payload IS NOT NULL AND payload_sha256 IS NULL AND topic_bytes IS NULL"

/* Names the chosen dead letters that cannot be stored, or says how many there are. *found_out is
 * false if one of them was chosen by its id. */
static bool requeue_name_cut(PGconn *conn, const struct dead_letters_choice *c, bool *found_out,
	struct error *err)
{
	PGresult *r = choice_query(conn,
		c->ids_count > 0 ? "SELECT DISTINCT 'dead letter ' || lpad(" CHOICE_ID
				   ", 16, '0') FROM dead_letters WHERE NOT (" REQUEUE_WHOLE
				   ") AND " CHOICE_SQL " ORDER BY 1"
				 : "SELECT count(*) || ' of them' FROM dead_letters WHERE NOT "
				   "(" REQUEUE_WHOLE ") AND " CHOICE_SQL " HAVING count(*) > 0",
		c, err);

	if (r == NULL)
		return false;
	for (int i = 0; i < PQntuples(r); i++)
		fprintf(stderr,
			"%s cannot be requeued: the payload or topic was not kept as a whole\n",
			PQgetvalue(r, i, 0));
	if (PQntuples(r) > 0 && c->ids_count > 0)
		*found_out = false;
	PQclear(r);
	return true;
}

static bool requeue_choose(PGconn *conn, const struct dead_letters_choice *c, long *chosen_out,
	struct error *err)
{
	PGresult *r = choice_query(conn,
		"CREATE TEMPORARY TABLE requeue AS SELECT row_number() OVER (ORDER BY "
		"first_received_at, seq, message_index) AS n, topic_digest, payload_digest, "
		"reason, payload_bytes, octet_length(payload) AS bytes FROM dead_letters "
		"WHERE " REQUEUE_WHOLE " AND " CHOICE_SQL,
		c, err);

	if (r == NULL)
		return false;
	*chosen_out = strtol(PQcmdTuples(r), NULL, 10);
	PQclear(r);
	return true;
}

/*
 * What was fed is committed. A later commit that writes something and waits for the disk means that
 * everything is there, so the log can drop all of it. Uses another connection: the command's may
 * have been lost while the feed went on.
 */
static bool requeue_settle(const struct pg_options *pg, struct spool *spool, struct error *err)
{
	PGconn *conn = pg_connect(pg, err);
	bool ok = conn != NULL &&
		  pg_exec(conn, "SET synchronous_commit = on; CREATE TEMPORARY TABLE settled ()",
			  err);

	PQfinish(conn);
	if (!ok)
		return error_prefix(err, "all is stored, but its log is kept until the next time");
	spool_release(spool, spool_last_seq(spool));
	return true;
}

static bool dead_letters_requeue(const struct config *config, const struct pg_options *pg,
	PGconn *conn, const struct dead_letters_choice *c, bool *found_out, struct error *err)
{
	static struct metrics metrics;
	struct feed_options options = {.pipeline = {.client_id = "dead-letters requeue"}};
	struct log_reader log = {.context = NULL};
	struct spool *spool = NULL;
	long chosen = 0, moved = 0, taken = 1;
	bool ok;

	ok = requeue_name_cut(conn, c, found_out, err) && requeue_open(config, &spool, err) &&
	     requeue_choose(conn, c, &chosen, err);
	/* Messages that an interrupted run has left are fed with the rest. */
	while (ok && taken > 0)
		ok = requeue_some(conn, spool, &taken, &moved, err);
	ok = ok && log_reader_of_spool(&log, spool, LOG_END, err) &&
	     feed_log(config, pg, &log, &options, &metrics, err) && requeue_settle(pg, spool, err);
	log_reader_close(&log);
	spool_close(&spool);
	if (ok && moved < chosen)
		fprintf(stderr, "%ld of %ld were removed meanwhile\n", chosen - moved, chosen);
	if (ok)
		printf("requeued %ld: stored %" PRIu64 ", duplicate %" PRIu64
		       ", dead-lettered again %" PRIu64 ", skipped %" PRIu64 "\n",
			moved, metrics.messages_stored, metrics.messages_duplicate,
			metrics.messages_dead_lettered, metrics.messages_skipped);
	return ok;
}

enum dead_letters_do {
	DEAD_LETTERS_LIST,
	DEAD_LETTERS_SHOW,
	DEAD_LETTERS_REQUEUE,
	DEAD_LETTERS_DISCARD,
};

static bool dead_letters_do(enum dead_letters_do what, const struct config *config,
	const struct pg_options *options, PGconn *conn, struct dead_letters_choice *choice,
	bool *found_out, struct error *err)
{
	switch (what) {
	case DEAD_LETTERS_LIST:
		return dead_letters_list(conn, choice, err);
	case DEAD_LETTERS_SHOW:
		return dead_letters_show(conn, choice, err);
	case DEAD_LETTERS_DISCARD:
		return dead_letters_discard(conn, choice, err);
	case DEAD_LETTERS_REQUEUE:
		break;
	}
	return dead_letters_requeue(config, options, conn, choice, found_out, err);
}

enum exit_code cmd_dead_letters(const struct config *config, int argc, char **argv)
{
	static const char *const words[] = {"list", "show", "requeue", "discard", NULL};
	static struct dead_letters_choice choice;
	struct pg_options options = cli_pg_options(config);
	const struct argument arguments[] = {
		{.name = "--reason", .text = &choice.reason},
		{.name = "--station", .text = &choice.station},
		{.name = "--all", .given = &choice.all},
	};
	bool ok, chosen;
	int what;
	struct error err;
	PGconn *conn;
	bool found = true;

	if (!arguments_take("dead-letters", arguments, 3, INT_MAX, &argc, argv))
		return EXIT_CODE_USAGE;
	what = arguments_choose("dead-letters", words, argc, argv);
	if (what < 0)
		return EXIT_CODE_USAGE;
	if (!choice_parse(&choice, argc - 1, argv + 1))
		return EXIT_CODE_USAGE;
	chosen = choice.ids_count > 0 || choice.reason != NULL || choice.station != NULL;
	if (what != DEAD_LETTERS_LIST && chosen == choice.all)
		return cli_usage("dead-letters",
			"choose by ID, --reason or --station, or give --all");
	conn = cli_connect(config, &options, &err);
	if (conn == NULL)
		return cli_fail_connect(&err);
	ok = choice_find(conn, &choice, &found, &err) &&
	     dead_letters_do((enum dead_letters_do)what, config, &options, conn, &choice, &found,
		     &err);
	PQfinish(conn);
	if (!ok)
		return cli_fail_database(&err);
	return found ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}
