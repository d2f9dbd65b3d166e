#include "replay/dry_run.h"

#include "replay/decode_kit.h"
#include "replay/unreadable.h"

struct dry_run {
	struct decode_kit kit;
	const struct replay_request *request;
	struct replay_source *source;
	int64_t message_bytes_max;
	struct replay_dry_run *out;
};

static void dry_dead_letter(struct dry_run *d, const struct message *m, const struct error *why)
{
	d->out->messages++;
	if (message_filter_takes(&d->request->filter, m))
		replay_reasons_add(&d->out->dead_reasons, why->reason, 1);
	else
		d->out->unwanted++;
}

static bool dry_message(struct dry_run *d, struct message *m, struct error *err)
{
	struct rows_result rows;

	d->out->messages++;
	if (!message_filter_takes(&d->request->filter, m)) {
		d->out->unwanted++;
		return true;
	}
	if (!rows_from_message(&d->kit.maker.builder, m, &d->kit.arena, &rows, err)) {
		if (err->kind == ERROR_POISON)
			replay_reasons_add(&d->out->dead_reasons, err->reason, 1);
		return err->kind == ERROR_POISON;
	}
	if (rows.skipped != NULL)
		replay_reasons_add(&d->out->skip_reasons, rows.skipped, 1);
	for (const struct row *row = rows.first; row != NULL; row = row->next)
		d->out->rows[row->table->id]++;
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

	d->out->records++;
	if ((r->flags & RECORD_OVERSIZED) != 0 || (int64_t)r->payload.size > d->message_bytes_max) {
		error_set(err, ERROR_POISON, REASON_oversized, "over mqtt.message_bytes_max");
		(void)decode_common(d->kit.maker.decoder, &input, &d->kit.arena, &m, NULL);
		dry_dead_letter(d, &m, err);
		return true;
	}
	if (!decode_begin(d->kit.maker.decoder, &input, &d->kit.arena, err)) {
		dry_dead_letter(d, &m, err);
		return err->kind == ERROR_POISON;
	}
	for (;;) {
		switch (decode_next(d->kit.maker.decoder, &m, err)) {
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

bool replay_dry_run(const struct config *config, const struct replay_request *request,
	struct replay_dry_run *out, struct error *err)
{
	struct replay_unreadable unreadable = {.count = 0};
	struct replay_source_events events = {replay_on_unreadable, &unreadable};
	struct dry_run d = {.request = request,
		.message_bytes_max = config->mqtt_message_bytes_max,
		.out = out};
	bool ok;

	*out = (struct replay_dry_run){.records = 0};
	ok = decode_kit_open(&d.kit, config, err) &&
	     replay_source_open(&d.source, &request->files, &request->pattern, request->csv, events,
		     err) &&
	     dry_records(&d, err);
	replay_unreadable_end(&unreadable);
	out->unreadable = unreadable.count;
	if (d.source != NULL)
		replay_source_close(&d.source);
	decode_kit_close(&d.kit);
	return ok;
}
