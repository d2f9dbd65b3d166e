#include "stations/run.h"

#include "base/clock.h"
#include "base/log.h"
#include "stations/batch.h"
#include "stations/broker.h"
#include "stations/ledger.h"
#include "stations/link.h"
#include "stations/pace.h"
#include "stations/publish.h"
#include "stations/report.h"

#include <poll.h>
#include <stdlib.h>

/* Messages are published in beats of this length: waking up for each one would cost more than
 * sending it. */
static const int64_t RUN_BEAT_US = US_PER_MS;
static const int64_t RUN_STATUS_US = US_PER_SECOND;

enum { RUN_LINKS_MAX = 64 };

struct run {
	const struct options *o;
	const volatile sig_atomic_t *stop;
	struct fleet *fleet;
	struct batch *batch;
	struct ledger *ledger;
	struct link *links[RUN_LINKS_MAX];
	size_t links_count;
	struct publisher publisher;
	struct pace pace;
	struct counts counts;
	struct bundle bundle; /* made, and not published for want of room; count 0 = none */
	uint64_t taken;       /* messages taken from the fleet */
	bool is_begun;        /* all links were up */
	bool is_ending;       /* nothing new is started */
	int64_t end_us;       /* ending: when to give up */
	int64_t status_us;    /* when the next status line is due */
	struct counts shown;  /* what the last status line said */
};

static void run_acknowledged(void *context, uint64_t first, uint32_t count)
{
	struct run *r = context;

	r->counts.acknowledged += count;
	ledger_acknowledged(r->ledger, first, count);
}

static bool run_open_links(struct run *r, const struct broker *broker, struct error *err)
{
	const struct options *o = r->o;

	for (; r->links_count < (size_t)o->connections; r->links_count++) {
		struct link_options options = {
			.addresses = broker->addresses,
			.connect = {.version = (enum mqtt_version)o->mqtt,
				.client_id = r->publisher.client_ids[r->links_count],
				.user = o->user,
				.password = o->password,
				.keep_alive_s = 20},
			.qos = (uint8_t)o->qos,
			.in_flight_max = (uint16_t)o->in_flight,
			.republish_us = o->republish_us,
			.window_bytes = (size_t)o->republish_mib << 20,
			.accept_unrouted = o->accept_unrouted,
			.seed = (uint64_t)clock_mono_us() + r->links_count,
			.acknowledged = run_acknowledged,
			.context = r,
		};

		r->links[r->links_count] = link_new(&options);
		if (r->links[r->links_count] == NULL)
			return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	}
	return true;
}

static bool run_open(struct run *r, const struct broker *broker, struct error *err)
{
	const struct options *o = r->o;
	struct fleet_options fleet = {
		.stations = (uint32_t)o->stations,
		.prefix = o->prefix,
		.seed = (uint64_t)o->seed,
		.start_us = o->start_us,
		.versions = (enum fleet_versions)o->ocpp,
		.formats = (enum fleet_formats)o->format,
		.mix = o->mix == OPTIONS_MIX_DEFAULT ? STATION_MIX_DEFAULT : STATION_MIX_METER,
		.post = {.shape = (enum shape)o->shape,
			.duplicates_permille = (uint32_t)(o->duplicates / 100),
			.reorder_us = o->reorder_us,
			.values_only = o->mix == OPTIONS_MIX_VALUES,
			.facts = o->ledger != NULL},
	};

	if (o->ledger != NULL) {
		r->ledger = ledger_open(o->ledger, err);
		if (r->ledger == NULL)
			return false;
		report_begin_ledger(r->ledger, o);
	}
	r->fleet = fleet_new(&fleet);
	r->batch = batch_new(fleet.stations, fleet.post.shape == SHAPE_BATCH);
	if (r->fleet == NULL || r->batch == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	publisher_init(&r->publisher, o);
	return run_open_links(r, broker, err);
}

static void run_close(struct run *r)
{
	for (size_t i = 0; i < r->links_count; i++)
		link_free(&r->links[i]);
	batch_free(&r->batch);
	fleet_free(&r->fleet);
	ledger_close(&r->ledger);
}

/* Calls and answers of a station go different ways, as with a gateway and a manager. */
static struct link *run_link(const struct run *r, const struct message *m)
{
	CHECK(r->links_count > 0);
	return r->links[((size_t)m->station->index + m->direction) % r->links_count];
}

/* False if there is no room for it now. */
static bool run_publish(struct run *r, int64_t now_us)
{
	struct bundle *b = &r->bundle;

	if (!publisher_publish(&r->publisher, run_link(r, b->messages[0]), b,
		    r->counts.published + 1, now_us))
		return false;
	for (size_t i = 0; i < b->count; i++) {
		struct message *m = b->messages[i];
		uint64_t number = ++r->counts.published;
		struct record *record = fleet_number(m, number);

		publisher_tell(&r->publisher, r->ledger, number, m);
		if (record != NULL) {
			ledger_session(r->ledger, record);
			fleet_record_done(r->fleet, record);
		}
		r->counts.duplicates += m->duplicate_of > 0;
		r->counts.actions[m->action]++;
		fleet_give_back(r->fleet, m);
	}
	r->counts.packets++;
	b->count = 0;
	return true;
}

/* Publish all that is due and has room; returns when there may be more. */
static int64_t run_produce(struct run *r, int64_t now_us)
{
	int64_t never_us = now_us + US_PER_DAY;

	for (;;) {
		const struct message *m;
		int64_t due_us;

		if (r->bundle.count > 0 || batch_next(r->batch, r->is_ending, &r->bundle)) {
			if (!run_publish(r, now_us))
				return never_us; /* acknowledgements will wake us */
			continue;
		}
		if (r->is_ending)
			return never_us;
		if (r->o->messages > 0 && r->taken == (uint64_t)r->o->messages) {
			r->is_ending = true;
			continue;
		}
		m = fleet_peek(r->fleet);
		due_us = pace_due_us(&r->pace, r->taken, m->due_us);
		if (due_us > now_us)
			return due_us;
		r->taken++;
		batch_add(r->batch, fleet_take(r->fleet));
	}
}

static bool run_all(const struct run *r, bool (*is)(const struct link *l))
{
	for (size_t i = 0; i < r->links_count; i++) {
		if (!is(r->links[i]))
			return false;
	}
	return true;
}

/* From here on time counts. */
static void run_begin(struct run *r, int64_t now_us)
{
	r->is_begun = true;
	r->counts.begin_us = r->counts.last_us = r->status_us = now_us;
	r->pace = (struct pace){
		.begin_us = now_us,
		.begin_wall_us = clock_wall_us(),
		.start_us = r->o->start_us,
		.rate = r->o->rate,
		.speedup = r->o->speedup,
		.waits_for_clock = r->o->waits_for_clock,
	};
}

static void run_gather(struct run *r)
{
	struct link_stats all = {0};

	for (size_t i = 0; i < r->links_count; i++) {
		struct link_stats s = link_stats(r->links[i]);

		all.connects += s.connects;
		all.packets += s.packets;
		all.republished += s.republished;
		all.unrouted += s.unrouted;
		all.refused += s.refused;
		all.early += s.early;
	}
	r->counts.links = all;
	r->counts.reconnects = all.connects > r->links_count ? all.connects - r->links_count : 0;
}

static void run_status(struct run *r, int64_t now_us)
{
	if (r->o->quiet || now_us < r->status_us + RUN_STATUS_US)
		return;
	run_gather(r);
	report_status(&r->counts, &r->shown, now_us - r->status_us);
	r->shown = r->counts;
	r->status_us = now_us;
}

/* Sleep until a socket has something or time has come. */
static void run_wait(struct run *r, int64_t now_us, int64_t until_us)
{
	struct pollfd fds[RUN_LINKS_MAX];
	bool at_once = until_us == 0;
	int64_t left_us;

	for (size_t i = 0; i < r->links_count; i++) {
		int64_t deadline_us = link_deadline_us(r->links[i], now_us);

		fds[i] = (struct pollfd){.fd = link_fd(r->links[i]),
			.events = link_events(r->links[i])};
		if (deadline_us < until_us)
			until_us = deadline_us;
	}
	left_us = until_us - now_us;
	if (left_us > US_PER_SECOND)
		left_us = US_PER_SECOND; /* status line, --seconds, signals */
	if (left_us < RUN_BEAT_US)
		left_us = RUN_BEAT_US;
	(void)poll(fds, r->links_count, at_once ? 0 : (int)((left_us + US_PER_MS - 1) / US_PER_MS));
}

/* Is it time to end, and has it ended? */
static bool run_is_over(struct run *r, int64_t now_us)
{
	const struct options *o = r->o;

	if (*r->stop != 0 ||
		(r->is_begun && o->seconds_us > 0 && now_us >= r->counts.begin_us + o->seconds_us))
		r->is_ending = true;
	if (!r->is_ending) {
		r->end_us = now_us + o->drain_us;
		return false;
	}
	if (!r->is_begun)
		return true;
	return now_us >= r->end_us || (r->bundle.count == 0 && run_all(r, link_is_idle) &&
					      r->counts.published >= r->taken);
}

/* One round. *wake_us_out: when the next one is due, 0 = now. False with err on failure. */
static bool run_turn(struct run *r, int64_t *wake_us_out, int64_t give_up_us, struct error *err)
{
	int64_t now_us = clock_mono_us();
	uint64_t acknowledged = r->counts.acknowledged;

	*wake_us_out = now_us + US_PER_DAY;
	if (r->is_begun)
		*wake_us_out = run_produce(r, now_us);
	if (!ledger_flush(r->ledger, now_us, err))
		return false;
	for (size_t i = 0; i < r->links_count; i++) {
		if (!link_service(r->links[i], now_us, err))
			return false;
	}
	if (r->counts.acknowledged != acknowledged)
		r->counts.last_us = now_us;
	/* What had no room may have some now that the socket was written to. */
	if (r->bundle.count > 0 && link_has_room(run_link(r, r->bundle.messages[0])))
		*wake_us_out = 0;
	if (r->is_begun) {
		run_status(r, now_us);
	} else if (run_all(r, link_is_up)) {
		run_begin(r, now_us);
		*wake_us_out = 0;
	} else if (now_us > give_up_us) {
		return error_set(err, ERROR_FATAL, REASON_broker,
			"could not reach the broker at \"%s\"", r->o->broker);
	}
	return true;
}

static bool run_loop(struct run *r, struct error *err)
{
	int64_t give_up_us = clock_mono_us() + r->o->connect_us;

	for (;;) {
		int64_t wake_us;

		if (!run_turn(r, &wake_us, give_up_us, err))
			return false;
		if (run_is_over(r, clock_mono_us()))
			return true;
		run_wait(r, clock_mono_us(), wake_us);
	}
}

enum run_result run(const struct options *o, const volatile sig_atomic_t *stop, struct error *err)
{
	struct run *r = calloc(1, sizeof(*r));
	enum run_result result = RUN_FAILED;
	struct broker broker = {0};
	bool ok;

	CHECK(r != NULL);
	r->o = o;
	r->stop = stop;
	ok = broker_resolve(&broker, o->broker, err) && run_open(r, &broker, err) &&
	     run_loop(r, err);
	if (ok || r->is_begun) {
		run_gather(r);
		report_end(&r->counts, o, r->ledger);
	}
	if (ok)
		ok = ledger_flush(r->ledger, clock_mono_us(), err);
	if (ok)
		result = r->counts.acknowledged == r->counts.published ? RUN_OK : RUN_UNACKED;
	run_close(r);
	broker_free(&broker);
	free(r);
	return result;
}
