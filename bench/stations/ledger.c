#include "stations/ledger.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "stations/digits.h"
#include "stations/exchange.h"
#include "stations/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Ranges of acknowledged messages that are not in the file yet; more than these become a line. */
enum { LEDGER_RANGES_MAX = 256 };
static const int64_t LEDGER_RANGES_US = 100 * US_PER_MS;

/* Longest line: a message with its facts, or all ranges. */
enum { LEDGER_LINE_BYTES_MAX = 128 * 1024, LEDGER_BYTES = 1024 * 1024 };

struct ledger {
	int fd;
	char *path;
	bool failed; /* a write failed: reported by the next flush */
	int failure;
	struct {
		uint64_t from, to;
	} ranges[LEDGER_RANGES_MAX];
	size_t ranges_count;
	int64_t ranges_us; /* when they were last written */
	size_t size;
	uint8_t bytes[LEDGER_BYTES];
};

struct ledger *ledger_open(const char *path, struct error *err)
{
	struct ledger *l = malloc(sizeof(*l));

	if (l == NULL) {
		error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
		return NULL;
	}
	l->path = strdup(path);
	l->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	l->failed = false;
	l->size = l->ranges_count = 0;
	l->ranges_us = 0;
	if (l->fd < 0 || l->path == NULL) {
		error_set_errno(err, ERROR_FATAL, REASON_io, "could not create \"%s\"", path);
		ledger_close(&l);
	}
	return l;
}

void ledger_close(struct ledger **ledger)
{
	struct ledger *l = *ledger;

	if (l == NULL)
		return;
	if (l->fd >= 0)
		close(l->fd);
	free(l->path);
	free(l);
	*ledger = NULL;
}

static void ledger_write(struct ledger *l)
{
	size_t done = 0;

	while (done < l->size && !l->failed) {
		ssize_t n = write(l->fd, l->bytes + done, l->size - done);

		if (n < 0 && errno != EINTR) {
			l->failed = true;
			l->failure = errno;
		} else if (n > 0) {
			done += (size_t)n;
		}
	}
	l->size = 0;
}

/* Room for one line; the address to write it to. */
static uint8_t *ledger_line(struct ledger *l)
{
	if (l->size + LEDGER_LINE_BYTES_MAX > sizeof(l->bytes))
		ledger_write(l);
	return l->bytes + l->size;
}

static void ledger_line_end(struct ledger *l, uint8_t *at)
{
	*at++ = '\n';
	CHECK((size_t)(at - l->bytes) <= sizeof(l->bytes));
	l->size = (size_t)(at - l->bytes);
}

static uint8_t *ledger_put(uint8_t *at, const char *text)
{
	return put_bytes(at, text, strlen(text));
}

static uint8_t *ledger_put_slice(uint8_t *at, struct slice s)
{
	return put_bytes(at, s.data, s.size);
}

void ledger_begin(struct ledger *l, uint64_t seed, struct slice options)
{
	uint8_t *at;

	if (l == NULL)
		return;
	at = ledger_put(ledger_line(l), "{\"ledger\":1,\"seed\":");
	at = ledger_put(put_digits(at, seed), ",\"options\":");
	ledger_line_end(l, ledger_put(ledger_put_slice(at, options), "}"));
}

void ledger_message(struct ledger *l, uint64_t number, const struct message *m,
	const struct slice topic[static 2], uint8_t qos)
{
	static const char *const kinds[] =
		{[MESSAGE_CALL] = "call", [MESSAGE_RESULT] = "result", [MESSAGE_ERROR] = "error"};
	uint8_t *at;

	if (l == NULL)
		return;
	at = put_digits(ledger_put(ledger_line(l), "{\"m\":"), number);
	at = ledger_put_slice(ledger_put_slice(ledger_put(at, ",\"topic\":\""), topic[0]),
		topic[1]);
	at = put_digits(ledger_put(at, "\",\"qos\":"), qos);
	at = ledger_put(ledger_put(at, ",\"kind\":\""), kinds[m->kind]);
	at = ledger_put(ledger_put(at, "\",\"action\":\""), action_name((enum action)m->action));
	at = put_bytes(ledger_put(at, "\",\"id\":\""), m->id, m->id_size);
	if (m->duplicate_of > 0)
		at = put_digits(ledger_put(at, "\",\"dup_of\":"), m->duplicate_of);
	else
		at = ledger_put_slice(ledger_put(at, "\",\"facts\":"), message_facts(m));
	ledger_line_end(l, ledger_put(at, "}"));
}

void ledger_session(struct ledger *l, const struct record *r)
{
	uint8_t *at;

	if (l == NULL)
		return;
	at = put_bytes(ledger_line(l), r->text, r->text_size);
	at = ledger_put(at, ",\"needs\":[");
	for (uint32_t i = 0; i < r->needs_count; i++)
		at = put_digits(i == 0 ? at : ledger_put(at, ","), r->needs[i]);
	ledger_line_end(l, ledger_put(at, "]}"));
}

static void ledger_put_ranges(struct ledger *l)
{
	uint8_t *at;

	if (l->ranges_count == 0)
		return;
	at = ledger_put(ledger_line(l), "{\"a\":[");
	for (size_t i = 0; i < l->ranges_count; i++) {
		if (i > 0)
			*at++ = ',';
		if (l->ranges[i].from == l->ranges[i].to) {
			at = put_digits(at, l->ranges[i].from);
			continue;
		}
		at = put_digits(ledger_put(at, "["), l->ranges[i].from);
		at = put_digits(ledger_put(at, ","), l->ranges[i].to);
		*at++ = ']';
	}
	ledger_line_end(l, ledger_put(at, "]}"));
	l->ranges_count = 0;
}

void ledger_acknowledged(struct ledger *l, uint64_t first, uint32_t count)
{
	size_t last;

	if (l == NULL)
		return;
	last = l->ranges_count - 1;
	if (l->ranges_count > 0 && l->ranges[last].to + 1 == first) {
		l->ranges[last].to = first + count - 1;
		return;
	}
	if (l->ranges_count == LEDGER_RANGES_MAX)
		ledger_put_ranges(l);
	l->ranges[l->ranges_count].from = first;
	l->ranges[l->ranges_count++].to = first + count - 1;
}

void ledger_end(struct ledger *l, struct slice totals)
{
	uint8_t *at;

	if (l == NULL)
		return;
	ledger_put_ranges(l);
	at = ledger_put_slice(ledger_put(ledger_line(l), "{\"end\":true,"), totals);
	ledger_line_end(l, ledger_put(at, "}"));
}

bool ledger_flush(struct ledger *l, int64_t now_us, struct error *err)
{
	if (l == NULL)
		return true;
	if (now_us - l->ranges_us >= LEDGER_RANGES_US) {
		l->ranges_us = now_us;
		ledger_put_ranges(l);
	}
	if (l->size == 0 && !l->failed)
		return true;
	ledger_write(l);
	if (!l->failed)
		return true;
	errno = l->failure;
	return error_set_errno(err, ERROR_FATAL, REASON_io, "could not write to \"%s\"", l->path);
}
