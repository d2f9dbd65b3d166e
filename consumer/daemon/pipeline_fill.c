#include "base/bytes.h"
#include "base/limits.h"
#include "daemon/pipeline_private.h"

#include <inttypes.h>

/* Size of a name in the logging; longer ones are cut. */
enum { FILL_NAME_BYTES = 128 };

/* Result of adding a record to the batch. */
enum fill_result {
	FILL_TAKEN,
	FILL_FULL, /* no room: the batch has part of the record and must be dropped */
	FILL_FAILED,
};

static bool fill_is_unwanted(const struct pipeline *p, const struct message *m)
{
	return p->options.filter != NULL && !message_filter_takes(p->options.filter, m);
}

static enum fill_result fill_unwanted(struct pipeline *p, const struct message *m)
{
	struct rows_result rows = {.skipped = "filter"};
	struct error err;

	return batch_add(p->filling, m, &rows, p->partitions, &err) ? FILL_TAKEN : FILL_FULL;
}

/* A trial of the hunt takes only the first messages of its record. */
static bool fill_is_left_out(const struct pipeline *p, const struct message *m)
{
	return p->filling->trial && m->index >= p->hunt.take;
}

/* Text from the broker for a line of the logging. */
static const char *fill_name(char out[static FILL_NAME_BYTES], struct slice text)
{
	snprintf(out, FILL_NAME_BYTES, "%.*s", (int)text.size, (const char *)text.data);
	return out;
}

static void fill_log_dead_letter(struct pipeline *p, const struct message *m,
	const struct error *why)
{
	char station[FILL_NAME_BYTES], action[FILL_NAME_BYTES];
	uint64_t suppressed;

	if (!log_repeat_due(&p->dead_letters, why, &suppressed))
		return;
	log_warn("dead_letter", why->message,
		"reason=%s station=%s action=%s seq=%" PRIu64 " message=%" PRIu32
		" suppressed=%" PRIu64,
		why->reason, LOG_VALUE(fill_name(station, m->station)),
		LOG_VALUE(fill_name(action, m->action)), m->seq, m->index, suppressed);
}

/* Nobody knows what its fields mean: such a message goes to ocpp_events alone. */
static void fill_log_version(struct pipeline *p, const struct message *m)
{
	char version[FILL_NAME_BYTES], station[FILL_NAME_BYTES];
	uint64_t suppressed;

	if (m->version != VERSION_UNKNOWN || !slice_is_absent(m->entity) ||
		!log_repeat_due(&p->versions, NULL, &suppressed))
		return;
	log_warn("unknown_version",
		"the topic does not name an OCPP version that is known: its messages are stored in "
		"ocpp_events only",
		"version=%s station=%s suppressed=%" PRIu64,
		LOG_VALUE(fill_name(version, m->version_text)),
		LOG_VALUE(fill_name(station, m->station)), suppressed);
}

static enum fill_result fill_dead_letter(struct pipeline *p, const struct message *m,
	const struct error *why, uint64_t bytes, struct slice sha256)
{
	const struct poison *poison = poison_find(&p->poison, m->seq, m->index);
	bool bare = poison != NULL && poison->bare;
	struct message shown;

	if (fill_is_left_out(p, m))
		return FILL_TAKEN;
	if (fill_is_unwanted(p, m))
		return fill_unwanted(p, m);
	fill_log_dead_letter(p, m, why);
	shown = *m;
	if (!rows_keep_bytes(&p->maker.builder, &shown, &p->filling->arena) ||
		!batch_add_dead_letter(p->filling, &shown, why, bytes, sha256, bare))
		return FILL_FULL;
	return FILL_TAKEN;
}

/* A record that is a dead letter as a whole: what is known without decoding it. */
static enum fill_result fill_whole(struct pipeline *p, const struct record *r,
	const struct message *common, const struct error *why)
{
	struct message m = *common;

	m.raw = r->payload;
	return fill_dead_letter(p, &m, why, r->payload.size, (struct slice){NULL, 0});
}

static enum fill_result fill_oversized(struct pipeline *p, const struct record *r,
	const struct message *common)
{
	struct message m = *common;
	struct error why;
	uint64_t bytes;

	if (r->payload.size < RECORD_OVERSIZED_HEADER_BYTES) {
		error_set(&why, ERROR_POISON, REASON_oversized,
			"an oversized message without its header");
		return fill_whole(p, r, common, &why);
	}
	bytes = get_be64(r->payload.data);
	m.raw = slice_of(r->payload.data + RECORD_OVERSIZED_HEADER_BYTES,
		r->payload.size - RECORD_OVERSIZED_HEADER_BYTES);
	error_set(&why, ERROR_POISON, REASON_oversized,
		"the message has %" PRIu64 " bytes, more than mqtt.message_bytes_max", bytes);
	return fill_dead_letter(p, &m, &why, bytes,
		slice_of(r->payload.data + 8, RECORD_OVERSIZED_HEADER_BYTES - 8));
}

/* A layout counts as known once a row has it, but the rows of this message will not be written. */
static void fill_forget_layouts(struct pipeline *p, const struct rows_result *rows)
{
	for (const struct row *row = rows->first; row != NULL; row = row->next) {
		if (row->table->id == TABLE_meter_value_layouts) {
			layouts_forget(p->maker.layouts);
			return;
		}
	}
}

static enum fill_result fill_message(struct pipeline *p, struct message *m)
{
	const struct poison *poison = poison_find(&p->poison, m->seq, m->index);
	struct rows_result rows;
	struct error err;

	if (fill_is_left_out(p, m))
		return FILL_TAKEN;
	if (poison != NULL) {
		poison_error(poison, &err);
		return fill_dead_letter(p, m, &err, m->raw.size, (struct slice){NULL, 0});
	}
	if (fill_is_unwanted(p, m))
		return fill_unwanted(p, m);
	fill_log_version(p, m);
	if (rows_from_message(&p->maker.builder, m, &p->filling->arena, &rows, &err) &&
		batch_add(p->filling, m, &rows, p->partitions, &err))
		return FILL_TAKEN;
	if (err.kind != ERROR_POISON)
		return FILL_FULL;
	fill_forget_layouts(p, &rows);
	return fill_dead_letter(p, m, &err, m->raw.size, (struct slice){NULL, 0});
}

static enum fill_result fill_messages(struct pipeline *p)
{
	for (;;) {
		enum fill_result result;
		struct message m;
		struct error err;

		switch (decode_next(p->maker.decoder, &m, &err)) {
		case DECODE_END:
			return FILL_TAKEN;
		case DECODE_BAD:
			result = fill_dead_letter(p, &m, &err, m.raw.size, (struct slice){NULL, 0});
			break;
		case DECODE_MESSAGE:
			result = fill_message(p, &m);
			break;
		default:
			result = FILL_FAILED;
		}
		if (result != FILL_TAKEN)
			return result;
	}
}

static enum fill_result fill_record(struct pipeline *p, const struct record *r)
{
	const struct poison *poison = poison_find(&p->poison, r->seq, POISON_WHOLE_RECORD);
	struct decode_input input = {.seq = r->seq,
		.received_us = r->received_us,
		.topic = r->topic,
		.trace = r->trace,
		.payload = r->payload,
		.retained = (r->flags & RECORD_RETAIN) != 0};
	struct message common;
	struct error err;
	bool decoded;

	if (poison != NULL || (r->flags & RECORD_OVERSIZED) != 0) {
		if (!decode_common(p->maker.decoder, &input, &p->filling->arena, &common, &err) &&
			err.kind != ERROR_POISON)
			return FILL_FULL;
		if (poison == NULL)
			return fill_oversized(p, r, &common);
		poison_error(poison, &err);
		return fill_whole(p, r, &common, &err);
	}
	decoded = decode_begin(p->maker.decoder, &input, &p->filling->arena, &err);
	if (decoded)
		return fill_messages(p);
	if (err.kind != ERROR_POISON)
		return FILL_FULL;
	if (!decode_common(p->maker.decoder, &input, &p->filling->arena, &common, NULL) &&
		slice_is_absent(common.topic))
		return FILL_FULL;
	return fill_whole(p, r, &common, &err);
}

/* Has its arena as much as a batch may have? */
static bool fill_arena_is_full(const struct pipeline *p)
{
	int64_t filled = p->config->batch_messages_max * PIPELINE_MESSAGE_BYTES;

	if (filled < PIPELINE_ARENA_FILLED_MIN)
		filled = PIPELINE_ARENA_FILLED_MIN;
	if (filled > PIPELINE_ARENA_FILLED_MAX)
		filled = PIPELINE_ARENA_FILLED_MAX;
	return p->filling->arena.used >= (size_t)filled;
}

static bool fill_is_full(const struct pipeline *p)
{
	const struct batch *b = p->filling;

	return b->messages_count >= (size_t)p->config->batch_messages_max ||
	       b->payload_bytes >= (size_t)p->config->batch_bytes_max || fill_arena_is_full(p) ||
	       (p->limit.records > 0 && b->records >= p->limit.records);
}

bool pipeline_rewind(struct pipeline *p, uint64_t seq, struct error *err)
{
	uint64_t lost;

	p->log->drop_window(p->log->context);
	batch_reset(p->filling);
	p->supply = SUPPLY_OPEN;
	return p->log->seek(p->log->context, seq, &lost, err);
}

/* The record did not fit. Alone in a batch it never will; otherwise it goes into the next one.
 * Either way the batch is built again from its first record: what it held exists nowhere else. */
static bool fill_full(struct pipeline *p, uint64_t seq, struct error *err)
{
	uint64_t before = p->filling->follows; /* valid, since this record has begun */
	struct error why;

	if (p->filling->records == 0) {
		pipeline_too_large(&why);
		(void)poison_add(&p->poison, seq, POISON_WHOLE_RECORD, false, &why);
		pipeline_enter_search(p, SEARCH_NONE);
	} else {
		pipeline_trouble_full(p);
	}
	layouts_forget(p->maker.layouts); /* some count as known but will not be written */
	return pipeline_rewind(p, before, err);
}

bool pipeline_fill(struct pipeline *p, size_t records, struct error *err)
{
	for (; p->supply != SUPPLY_CLOSED && records > 0; records--) {
		struct batch *b = p->filling;
		struct record r;

		if (p->taken >= p->allowed) {
			p->supply = SUPPLY_CAUGHT_UP;
			return true;
		}
		switch (p->log->next(p->log->context, &b->arena, &r, err)) {
		case LOG_NOTHING_YET:
			p->supply = SUPPLY_CAUGHT_UP;
			return true;
		case LOG_END:
			p->supply = SUPPLY_ENDED;
			return true;
		case LOG_ERROR:
			if (err->kind != ERROR_FULL)
				return false;
			p->supply = SUPPLY_CLOSED; /* no room to read any more */
			return true;
		case LOG_RECORD:
			p->supply = SUPPLY_OPEN;
			p->taken++;
			break;
		}
		CHECK(r.seq > p->stored_seq && (b->records == 0 || r.seq > b->last_seq));
		batch_begin_record(b, r.seq, &r.link);
		b->trial = (p->search == SEARCH_BARE || p->search == SEARCH_HALVING) &&
			   p->hunt.seq == b->first_seq;
		if (fill_record(p, &r) != FILL_TAKEN) {
			if (!fill_full(p, r.seq, err))
				return false;
			continue;
		}
		batch_end_record(b, r.seq, r.payload.size, r.received_us);
		if (fill_is_full(p))
			p->supply = SUPPLY_CLOSED;
	}
	return true;
}

void pipeline_clear_filling(struct pipeline *p)
{
	batch_clear(p->filling);
	if (!fill_arena_is_full(p))
		return;
	p->log->drop_window(p->log->context);
	batch_reset(p->filling);
}

enum log_next pipeline_fill_one(struct pipeline *p, uint64_t *seq_out, struct error *err)
{
	struct batch *b = p->filling;
	struct record r;
	enum log_next next = p->log->next(p->log->context, &b->arena, &r, err);

	if (next != LOG_RECORD)
		return next;
	*seq_out = r.seq;
	batch_begin_record(b, r.seq, &r.link);
	if (fill_record(p, &r) == FILL_TAKEN)
		batch_end_record(b, r.seq, r.payload.size, r.received_us);
	else
		batch_clear(b);
	return LOG_RECORD;
}

void pipeline_take_batch(struct pipeline *p)
{
	CHECK(p->storing == NULL && p->filling->first_seq <= p->filling->last_seq);
	p->log->drop_window(p->log->context);
	p->storing = p->filling;
	p->storing->has_content =
		!p->storing->apart && p->log->content != NULL &&
		p->log->content(p->log->context, p->storing->last_seq, p->storing->content);
	p->filling = p->storing == &p->batches[0] ? &p->batches[1] : &p->batches[0];
	if (p->supply == SUPPLY_CLOSED)
		p->supply = SUPPLY_OPEN;
}
