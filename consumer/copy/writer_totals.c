#include "copy/writer_private.h"

#include "base/hex.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct writer_reason *totals_reason(struct writer *w, const char *name)
{
	for (size_t i = 0; i < w->reasons_count; i++) {
		if (strcmp(w->reasons[i].name, name) == 0)
			return &w->reasons[i];
	}
	if (w->reasons_count == WRITER_REASONS_MAX)
		return NULL; /* cannot happen: the program has fewer reasons */
	snprintf(w->reasons[w->reasons_count].name, sizeof(w->reasons[0].name), "%s", name);
	w->reasons[w->reasons_count].count = 0;
	return &w->reasons[w->reasons_count++];
}

static void totals_reason_name(const struct batch_message *m, char *out, size_t size)
{
	snprintf(out, size, "%s:%s", m->outcome == OUTCOME_SKIPPED ? "skipped" : "dead_lettered",
		m->reason);
}

static void totals_of(const struct writer *w, const struct batch *b, struct writer_totals *out)
{
	*out = w->totals;
	for (size_t i = 0; i < b->messages_count; i++) {
		out->received++;
		switch (b->messages[i].outcome) {
		case OUTCOME_STORED:
			out->stored++;
			break;
		case OUTCOME_DUPLICATE:
			out->duplicate++;
			break;
		case OUTCOME_DEAD_LETTERED:
			out->dead_lettered++;
			break;
		case OUTCOME_SKIPPED:
			out->skipped++;
			break;
		}
	}
}

/* Reasons are counted before the commit, and taken back if it fails: they are few. */
static void totals_add_reasons(struct writer *w, const struct batch *b, int64_t sign)
{
	for (size_t i = 0; i < b->messages_count; i++) {
		struct writer_reason *r;
		char name[64];

		if (b->messages[i].reason == NULL)
			continue;
		totals_reason_name(&b->messages[i], name, sizeof(name));
		r = totals_reason(w, name);
		if (r != NULL)
			r->count += sign;
	}
}

static struct slice totals_reasons_json(struct writer *w, struct arena *arena)
{
	struct text t;

	text_begin(&t, arena);
	text_put_char(&t, '{');
	for (size_t i = 0; i < w->reasons_count; i++) {
		if (i > 0)
			text_put_char(&t, ',');
		text_put_json_string(&t, slice_from_cstr(w->reasons[i].name));
		text_put_char(&t, ':');
		text_put_int(&t, w->reasons[i].count);
	}
	text_put_char(&t, '}');
	return text_end(&t);
}

/* In hexadecimal; absent if the log's identity stands for its content. */
static struct slice totals_content(struct batch *b)
{
	uint8_t *text = b->has_content ? arena_bytes(&b->arena, (size_t)2 * SHA256_BYTES) : NULL;

	if (text == NULL)
		return (struct slice){NULL, 0};
	(void)hex_put((char *)text, b->content, SHA256_BYTES);
	return slice_of(text, (size_t)2 * SHA256_BYTES);
}

bool writer_plan_totals(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	struct writer_totals totals;
	struct slice params[11], none = {NULL, 0};

	totals_of(w, b, &totals);
	totals_add_reasons(w, b, 1);
	params[0] = param_text(w->spool_text);
	params[1] = param_int8(&b->arena, totals.received);
	params[2] = param_int8(&b->arena, totals.stored);
	params[3] = param_int8(&b->arena, totals.duplicate);
	params[4] = param_int8(&b->arena, totals.dead_lettered);
	params[5] = param_int8(&b->arena, totals.skipped);
	params[6] = totals_reasons_json(w, &b->arena);
	params[7] = b->missing > 0 ? param_int8(&b->arena, (int64_t)b->gap_first) : none;
	params[8] = b->missing > 0 ? param_int8(&b->arena, (int64_t)b->gap_last) : none;
	params[9] = param_int8(&b->arena, (int64_t)b->missing);
	params[10] = totals_content(b);
	totals_add_reasons(w, b, -1);
	return requests_add(&w->requests, &b->arena, &statements.all[STATEMENT_TOTALS], params, 11,
		NULL, NULL, err);
}

void writer_totals_commit(struct writer *w, const struct batch *b)
{
	struct writer_totals totals;

	totals_of(w, b, &totals);
	totals_add_reasons(w, b, 1);
	w->totals = totals;
}

/* Columns 1 to 6 of take_over.sql. */
void writer_totals_read(struct writer *w, const PGresult *result)
{
	struct slice reasons = result_text(result, 0, 6);

	w->totals = (struct writer_totals){
		.received = result_int8(result, 0, 1),
		.stored = result_int8(result, 0, 2),
		.duplicate = result_int8(result, 0, 3),
		.dead_lettered = result_int8(result, 0, 4),
		.skipped = result_int8(result, 0, 5),
	};
	w->reasons_count = 0;
	while (reasons.size > 0) {
		const uint8_t *end = memchr(reasons.data, '\n', reasons.size);
		size_t size = end == NULL ? reasons.size : (size_t)(end - reasons.data);
		const uint8_t *equals = memchr(reasons.data, '=', size);
		char name[64];

		if (equals != NULL) {
			struct writer_reason *r;

			snprintf(name, sizeof(name), "%.*s", (int)(equals - reasons.data),
				(const char *)reasons.data);
			r = totals_reason(w, name);
			if (r != NULL)
				r->count = strtoll((const char *)equals + 1, NULL, 10);
		}
		reasons =
			end == NULL ? slice_of("", 0) : slice_of(end + 1, reasons.size - size - 1);
	}
}
