#include "daemon/log_reader.h"

#include <stdlib.h>

struct spool_reader {
	struct spool *spool;
	struct spool_cursor *cursor;
	enum log_next after_last;
};

static bool spool_reader_seek(void *context, uint64_t seq, uint64_t *lost_out, struct error *err)
{
	struct spool_reader *r = context;

	return spool_cursor_seek(r->cursor, seq, lost_out, err);
}

static bool spool_reader_recognise(void *context, const struct position *at, struct position *out,
	struct error *err)
{
	struct spool_reader *r = context;

	return spool_cursor_recognise(r->cursor, at, out, err);
}

static enum log_next spool_reader_next(void *context, struct arena *arena, struct record *out,
	struct error *err)
{
	struct spool_reader *r = context;

	switch (spool_cursor_next(r->cursor, arena, out, err)) {
	case SPOOL_RECORD:
		return LOG_RECORD;
	case SPOOL_EMPTY:
		return r->after_last;
	case SPOOL_ERROR:
		break;
	}
	return LOG_ERROR;
}

static void spool_reader_drop_window(void *context)
{
	struct spool_reader *r = context;

	spool_cursor_drop_window(r->cursor);
}

static void spool_reader_release(void *context, uint64_t seq)
{
	struct spool_reader *r = context;

	spool_release(r->spool, seq);
}

static bool spool_reader_failed(void *context, struct error *err)
{
	struct spool_reader *r = context;

	return spool_failed(r->spool, err);
}

static void spool_reader_close(void *context)
{
	struct spool_reader *r = context;

	spool_cursor_close(&r->cursor);
	free(r);
}

bool log_reader_of_spool(struct log_reader *out, struct spool *spool, enum log_next after_last,
	struct error *err)
{
	struct spool_reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	r->spool = spool;
	r->after_last = after_last;
	if (!spool_cursor_open(&r->cursor, spool, err)) {
		free(r);
		return false;
	}
	*out = (struct log_reader){.context = r,
		.identity = spool_identity(spool),
		.recognise = spool_reader_recognise,
		.seek = spool_reader_seek,
		.next = spool_reader_next,
		.drop_window = spool_reader_drop_window,
		.release = spool_reader_release,
		.failed = spool_reader_failed,
		.close = spool_reader_close};
	spool_begin_position(spool, &out->begin);
	return true;
}

void log_reader_close(struct log_reader *log)
{
	if (log->context != NULL)
		log->close(log->context);
	log->context = NULL;
}
