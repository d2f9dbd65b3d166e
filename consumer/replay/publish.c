#include "replay/publish.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/options.h"
#include "mqtt/publish.h"
#include "replay/decode_kit.h"
#include "replay/unreadable.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PUBLISHING_REMEMBERED = 1024 }; /* more than can be in flight */

struct publishing {
	struct decode_kit kit;
	const struct replay_request *request;
	const struct replay_publish_options *options;
	struct replay_published *out;
	struct replay_source *source;
	struct mqtt_publisher *publisher;
	struct mqtt_options broker;
	char *urls[1];
	char client_id[64];
	uint64_t seq;                         /* of the last record finished */
	uint64_t seqs[PUBLISHING_REMEMBERED]; /* of the last messages published */
	struct replay_unreadable unreadable;
	int64_t first_received_us; /* of the first message published */
	int64_t begun_us;          /* monotonic: when it was published */
	int64_t said_us;
};

static volatile sig_atomic_t publishing_stop;

static const int64_t PUBLISHING_LOOK_US = 200 * US_PER_MS; /* how often to check for a stop */
static const int64_t PUBLISHING_LOG_US = 10 * US_PER_SECOND;

/* A record is published whole if any message in it is wanted. */
static bool publishing_wants(struct publishing *p, const struct record *r)
{
	struct decode_input input = {.seq = r->seq,
		.received_us = r->received_us,
		.topic = r->topic,
		.trace = r->trace,
		.payload = r->payload};
	const struct message_filter *filter = &p->request->filter;
	struct message m = {.received_us = r->received_us};
	struct error why;

	if (filter->stations_count == 0 && filter->actions_count == 0)
		return message_filter_takes(filter, &m);
	if (!decode_begin(p->kit.maker.decoder, &input, &p->kit.arena, &why))
		return false;
	for (;;) {
		switch (decode_next(p->kit.maker.decoder, &m, &why)) {
		case DECODE_END:
			return false;
		case DECODE_BAD:
			break;
		case DECODE_MESSAGE:
			if (message_filter_takes(filter, &m))
				return true;
			break;
		}
	}
}

/* Waits until the message is due: by its time of receipt, and by --rate. */
static void publishing_wait(struct publishing *p, const struct record *r)
{
	int64_t now_us = clock_mono_us(), due_us = 0;
	struct timespec wait;

	if (p->out->published == 0) {
		p->first_received_us = r->received_us;
		p->begun_us = now_us;
	}
	if (p->options->speed > 0)
		due_us = (int64_t)((double)(r->received_us - p->first_received_us) /
				   p->options->speed);
	if (p->request->rate > 0) {
		int64_t by_rate_us = (int64_t)((double)p->out->published * US_PER_SECOND /
					       (double)p->request->rate);

		due_us = due_us > by_rate_us ? due_us : by_rate_us;
	}
	due_us += p->begun_us;
	for (; publishing_stop == 0 && now_us < due_us; now_us = clock_mono_us()) {
		int64_t step_us = due_us - now_us;

		if (step_us > PUBLISHING_LOOK_US)
			step_us = PUBLISHING_LOOK_US;
		wait = (struct timespec){0, step_us * 1000};
		(void)nanosleep(&wait, NULL);
	}
}

/* A signal also ends waiting. */
static void publishing_on_signal(int number)
{
	publishing_stop = number;
}

static bool publishing_is_stopped(struct error *err)
{
	return publishing_stop != 0 && !error_set(err, ERROR_STOPPED, REASON_stopped,
					       "stopped by signal %d", (int)publishing_stop);
}

static bool publishing_record(struct publishing *p, const struct record *r, struct error *err)
{
	struct mqtt_message m = {.topic = r->topic,
		.payload = r->payload,
		.qos = r->flags & RECORD_QOS_MASK,
		.content = (r->flags & RECORD_JSON) != 0      ? MQTT_CONTENT_JSON
			   : (r->flags & RECORD_MSGPACK) != 0 ? MQTT_CONTENT_MSGPACK
							      : MQTT_CONTENT_UNKNOWN,
		.trace = r->trace};
	struct mqtt_publisher_progress progress;

	p->out->records++;
	/* Only the beginning of an oversized message is available. */
	if ((r->flags & RECORD_OVERSIZED) != 0 || !publishing_wants(p, r)) {
		p->out->unwanted++;
		p->seq = r->seq;
		return true;
	}
	publishing_wait(p, r);
	if (publishing_is_stopped(err))
		return false;
	p->seqs[p->out->published % PUBLISHING_REMEMBERED] = r->seq;
	if (!mqtt_publisher_send(p->publisher, &m, err))
		return false;
	p->out->published++;
	p->seq = r->seq;
	if (clock_mono_us() - p->said_us >= PUBLISHING_LOG_US) {
		p->said_us = clock_mono_us();
		mqtt_publisher_progress(p->publisher, &progress);
		log_info("replay_progress", "",
			"published=%" PRIu64 " acknowledged=%" PRIu64 " resent=%" PRIu64,
			p->out->published, progress.acknowledged, progress.resent);
	}
	return true;
}

static bool publishing_all(struct publishing *p, struct error *err)
{
	for (;;) {
		struct record record;

		if (publishing_is_stopped(err))
			return false;
		decode_kit_make_room(&p->kit, p->source);
		switch (replay_source_next(p->source, &p->kit.arena, &record, err)) {
		case REPLAY_RECORD:
			if (!publishing_record(p, &record, err))
				return false;
			break;
		case REPLAY_END:
			return mqtt_publisher_flush(p->publisher, err);
		case REPLAY_ERROR:
			return false;
		}
	}
}

static bool publishing_open(struct publishing *p, const struct config *c, struct error *err)
{
	struct sigaction action = {.sa_handler = publishing_on_signal};
	char uuid[UUID_TEXT_BYTES];
	struct uuid id;

	p->urls[0] = p->options->broker;
	p->broker = options_mqtt(c);
	p->broker.urls = p->urls;
	p->broker.urls_count = 1;
	p->broker.client_id = p->client_id;
	if (!uuid_new(&id))
		return error_set(err, ERROR_FATAL, REASON_random, "could not make a client id");
	uuid_format(&id, uuid);
	snprintf(p->client_id, sizeof(p->client_id), "ocpp-persister-replay-%s", uuid);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	return mqtt_publisher_open(&p->publisher, &p->broker, &publishing_stop, err) &&
	       replay_source_seek(p->source, (uint64_t)p->options->after, err);
}

/* Nothing is missing up to this record: continuing after it loses nothing. */
static uint64_t publishing_settled(const struct publishing *p,
	const struct mqtt_publisher_progress *now)
{
	if (now->settled == p->out->published)
		return p->seq > 0 ? p->seq : (uint64_t)p->options->after;
	return p->seqs[now->settled % PUBLISHING_REMEMBERED] - 1;
}

/* The outcome; err gets where to continue. */
static void publishing_end(struct publishing *p, bool ok, struct error *err)
{
	struct mqtt_publisher_progress now = {.acknowledged = 0};

	if (p->publisher != NULL)
		mqtt_publisher_progress(p->publisher, &now);
	replay_unreadable_end(&p->unreadable);
	p->out->acknowledged = now.acknowledged;
	p->out->resent = now.resent;
	p->out->unreadable = p->unreadable.count;
	p->out->settled = publishing_settled(p, &now);
	if (p->out->published > 0)
		p->out->seconds = (double)(clock_mono_us() - p->begun_us) / US_PER_SECOND;
	if (!ok && p->publisher != NULL)
		error_hint(err, "continue with --after %" PRIu64, p->out->settled);
	if (p->source != NULL)
		replay_source_close(&p->source);
	mqtt_publisher_close(&p->publisher);
	decode_kit_close(&p->kit);
}

bool replay_publish(const struct config *config, const struct replay_request *request,
	const struct replay_publish_options *options, struct replay_published *out,
	struct error *err)
{
	static struct publishing p;
	struct replay_source_events events = {replay_on_unreadable, &p.unreadable};
	bool ok;

	*out = (struct replay_published){.records = 0};
	p = (struct publishing){.request = request,
		.options = options,
		.out = out,
		.said_us = clock_mono_us()};
	ok = decode_kit_open(&p.kit, config, err) &&
	     replay_source_open(&p.source, &request->files, &request->pattern, request->csv, events,
		     err) &&
	     publishing_open(&p, config, err) && publishing_all(&p, err);
	publishing_end(&p, ok, err);
	return ok;
}
