#include "cli/decode_kit.h"
#include "cli/replay.h"
#include "replay/unreadable.h"

#include <inttypes.h>
#include <stdio.h>

/* What a replay would store, and why not what it would not. */
struct dry_run {
	struct decode_kit kit;
	const struct replay_request *request;
	struct replay_source *source;
	uint64_t records, messages, unwanted;
	struct replay_unreadable unreadable;
	uint64_t rows[TABLE_COUNT];
	int64_t message_bytes_max;
	struct replay_reasons dead_reasons, skip_reasons;
};

static void dry_dead_letter(struct dry_run *d, const struct message *m, const struct error *why)
{
	d->messages++;
	if (message_filter_takes(&d->request->filter, m))
		replay_reasons_add(&d->dead_reasons, why->reason, 1);
	else
		d->unwanted++;
}

static bool dry_message(struct dry_run *d, struct message *m, struct error *err)
{
	struct rows_result rows;

	d->messages++;
	if (!message_filter_takes(&d->request->filter, m)) {
		d->unwanted++;
		return true;
	}
	if (!rows_from_message(&d->kit.builder, m, &d->kit.arena, &rows, err)) {
		if (err->kind == ERROR_POISON)
			replay_reasons_add(&d->dead_reasons, err->reason, 1);
		return err->kind == ERROR_POISON;
	}
	if (rows.skipped != NULL)
		replay_reasons_add(&d->skip_reasons, rows.skipped, 1);
	for (const struct row *row = rows.first; row != NULL; row = row->next)
		d->rows[row->table->id]++;
	return true;
}

static bool dry_record(struct dry_run *d, const struct record *r, struct error *err)
{
	struct decode_input input = {.seq = r->seq,
		.received_us = r->received_us,
		.topic = r->topic,
		.trace = r->trace,
		.payload = r->payload};
	struct message m = {.received_us = r->received_us, .topic = r->topic};

	d->records++;
	if ((r->flags & RECORD_OVERSIZED) != 0 || (int64_t)r->payload.size > d->message_bytes_max) {
		error_set(err, ERROR_POISON, "oversized", "over mqtt.message_bytes_max");
		(void)decode_common(d->kit.decoder, &input, &d->kit.arena, &m, NULL);
		dry_dead_letter(d, &m, err);
		return true;
	}
	if (!decode_begin(d->kit.decoder, &input, &d->kit.arena, err)) {
		dry_dead_letter(d, &m, err);
		return err->kind == ERROR_POISON;
	}
	for (;;) {
		switch (decode_next(d->kit.decoder, &m, err)) {
		case DECODE_END:
			return true;
		case DECODE_BAD:
			dry_dead_letter(d, &m, err);
			break;
		case DECODE_MESSAGE:
			if (!dry_message(d, &m, err))
				return false;
			break;
		}
	}
}

static bool dry_records(struct dry_run *d, struct error *err)
{
	for (;;) {
		struct record record;

		decode_kit_make_room(&d->kit, d->source);
		switch (replay_source_next(d->source, &d->kit.arena, &record, err)) {
		case REPLAY_RECORD:
			if (!dry_record(d, &record, err))
				return false;
			break;
		case REPLAY_END:
			return true;
		case REPLAY_ERROR:
			return false;
		}
	}
}

static void dry_show(const struct dry_run *d)
{
	printf("would take %" PRIu64 " records, %" PRIu64 " messages; %" PRIu64
	       " not asked for, %" PRIu64 " unreadable\n",
		d->records, d->messages, d->unwanted, d->unreadable.count);
	for (int t = 0; t < TABLE_COUNT; t++) {
		if (d->rows[t] > 0)
			printf("  rows for %s: %" PRIu64 "\n", tables[t].name, d->rows[t]);
	}
	replay_show_reasons("dead letters", &d->dead_reasons);
	replay_show_reasons("skipped", &d->skip_reasons);
}

static void dry_show_json(const struct dry_run *d)
{
	const char *before = "";

	printf("{\"dry_run\":true,\"records\":%" PRIu64 ",\"messages\":%" PRIu64
	       ",\"not_asked_for\":%" PRIu64 ",\"unreadable\":%" PRIu64 ",\"rows\":{",
		d->records, d->messages, d->unwanted, d->unreadable.count);
	for (int t = 0; t < TABLE_COUNT; t++) {
		if (d->rows[t] == 0)
			continue;
		printf("%s\"%s\":%" PRIu64, before, tables[t].name, d->rows[t]);
		before = ",";
	}
	printf("}");
	replay_show_json_reasons("dead_lettered_reasons", &d->dead_reasons);
	replay_show_json_reasons("skipped_reasons", &d->skip_reasons);
	printf("}\n");
}

enum exit_code replay_dry_run(const struct config *config, const struct replay_options *options)
{
	static struct dry_run d;
	struct replay_source_events events = {replay_on_unreadable, &d.unreadable};
	struct error err;
	bool ok;

	d.request = &options->request;
	d.message_bytes_max = config->mqtt_message_bytes_max;
	ok = decode_kit_open(&d.kit, config, &err) &&
	     replay_open(&d.source, d.request, events, &err) && dry_records(&d, &err);
	replay_unreadable_end(&d.unreadable);
	if (ok && options->json)
		dry_show_json(&d);
	else if (ok)
		dry_show(&d);
	if (d.source != NULL)
		replay_source_close(&d.source);
	decode_kit_close(&d.kit);
	if (!ok)
		return cli_fail(EXIT_CODE_FAILED, &err);
	return d.unreadable.count > 0 ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
