#include "stations/fleet.h"

#include "base/clock.h"
#include "stations/session.h"

#include <stdlib.h>

/* Stations do not all boot at once. */
static const int64_t FLEET_BOOT_US = 20 * US_PER_SECOND;
static const int64_t FLEET_FIRST_SESSION_US = 90 * US_PER_SECOND;

/*
 * Messages on their way at once. What a window of reordering holds at most; when it is full,
 * messages leave earlier than they would have.
 */
enum { FLEET_MESSAGES_MAX = 1 << 18 };
enum { FLEET_STEP_MESSAGES_MAX = SESSION_EXCHANGES_MAX * POST_PER_EXCHANGE };

/* Somebody who acts from time to time: an EVSE, or (evse 0) the station itself. */
struct actor {
	int64_t next_us;
	uint32_t station;
	uint32_t evse;
};

struct fleet {
	struct fleet_options o;
	struct post post;
	struct token tokens[STATION_TOKENS];
	struct station *stations;
	struct actor *actors; /* a heap; each is in it once */
	size_t actors_count;
};

static bool fleet_before(const struct actor *a, const struct actor *b)
{
	if (a->next_us != b->next_us)
		return a->next_us < b->next_us;
	if (a->station != b->station)
		return a->station < b->station;
	return a->evse < b->evse;
}

/* Put the actor at this place of the heap where it belongs below. */
static void fleet_sift(struct fleet *f, size_t at)
{
	struct actor moving = f->actors[at];

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= f->actors_count)
			break;
		if (child + 1 < f->actors_count &&
			fleet_before(&f->actors[child + 1], &f->actors[child]))
			child++;
		if (!fleet_before(&f->actors[child], &moving))
			break;
		f->actors[at] = f->actors[child];
		at = child;
	}
	f->actors[at] = moving;
}

static void fleet_add_actor(struct fleet *f, int64_t next_us, uint32_t station, uint32_t evse)
{
	f->actors[f->actors_count++] =
		(struct actor){.next_us = next_us, .station = station, .evse = evse};
}

static void fleet_add_station(struct fleet *f, uint32_t index)
{
	struct station *s = &f->stations[index];
	int64_t start_us = f->o.start_us;
	struct station_options o = {
		.prefix = f->o.prefix,
		.seed = f->o.seed,
		.index = index,
		.mix = f->o.mix,
		.tokens = f->tokens,
	};

	/* Both alternate, so that all four combinations are there. */
	o.version = f->o.versions == FLEET_BOTH ? (index % 2 == 0 ? OCPP_16 : OCPP_201)
		    : f->o.versions == FLEET_16 ? OCPP_16
						: OCPP_201;
	o.msgpack =
		f->o.formats == FLEET_MIXED ? index / 2 % 2 == 1 : f->o.formats == FLEET_MSGPACK;
	station_init(s, &o);
	if (f->o.mix == STATION_MIX_METER) {
		s->booted = true;
		fleet_add_actor(f, start_us + rng_between(&s->rng, 0, 900 * US_PER_SECOND), index,
			0);
		for (size_t i = 0; i < s->evses_count; i++) {
			int64_t first_us = start_us + rng_between(&s->rng, 0, s->interval_us);

			session_resume(s, &s->evses[i], first_us - s->interval_us);
			fleet_add_actor(f, first_us, index, (uint32_t)i + 1);
		}
		return;
	}
	fleet_add_actor(f, start_us + rng_between(&s->rng, 0, FLEET_BOOT_US), index, 0);
	for (size_t i = 0; i < s->evses_count; i++)
		fleet_add_actor(f,
			start_us + rng_between(&s->rng, FLEET_BOOT_US, FLEET_FIRST_SESSION_US),
			index, (uint32_t)i + 1);
}

struct fleet *fleet_new(const struct fleet_options *o)
{
	struct fleet *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->o = *o;
	f->o.post.messages_max = FLEET_MESSAGES_MAX;
	f->stations = calloc(o->stations, sizeof(*f->stations));
	f->actors = calloc((size_t)o->stations * (STATION_EVSES_MAX + 1), sizeof(*f->actors));
	if (!post_init(&f->post, &f->o.post) || f->stations == NULL || f->actors == NULL) {
		fleet_free(&f);
		return NULL;
	}
	station_make_tokens(f->tokens, o->seed);
	for (uint32_t i = 0; i < o->stations; i++)
		fleet_add_station(f, i);
	for (size_t i = f->actors_count / 2; i > 0; i--)
		fleet_sift(f, i - 1);
	return f;
}

void fleet_free(struct fleet **fleet)
{
	struct fleet *f = *fleet;

	if (f == NULL)
		return;
	post_fini(&f->post);
	free(f->stations);
	free(f->actors);
	free(f);
	*fleet = NULL;
}

static session_step *fleet_session_step(const struct station *s, const struct evse *e)
{
	const struct session_steps *steps =
		s->version == OCPP_16 ? &session16_steps : &session201_steps;

	switch (e->phase) {
	case EVSE_FREE:
		return steps->arrive;
	case EVSE_CHARGING:
		return steps->charge;
	case EVSE_STOPPING:
	case EVSE_REFUSED:
		break;
	}
	return steps->stop;
}

static void fleet_step(struct fleet *f)
{
	struct actor *a = &f->actors[0];
	struct station *s = &f->stations[a->station];
	struct evse *e = a->evse == 0 ? NULL : &s->evses[a->evse - 1];
	int64_t now_us = a->next_us;

	a->next_us = e == NULL ? life_step(&f->post, s, now_us)
			       : fleet_session_step(s, e)(&f->post, s, e, now_us);
	CHECK(a->next_us > now_us);
	fleet_sift(f, 0);
}

const struct message *fleet_peek(struct fleet *f)
{
	for (;;) {
		const struct message *first = outbox_first(&f->post.outbox);

		/* What is still to be made is not due before its maker's turn. */
		if (first != NULL &&
			(first->due_us < f->actors[0].next_us ||
				outbox_room(&f->post.outbox) < FLEET_STEP_MESSAGES_MAX))
			return first;
		fleet_step(f);
	}
}

struct message *fleet_take(struct fleet *f)
{
	(void)fleet_peek(f);
	return outbox_take(&f->post.outbox);
}

struct record *fleet_number(struct message *m, uint64_t number)
{
	if (m->copy != NULL)
		m->copy->duplicate_of = number;
	if (m->record == NULL)
		return NULL;
	record_number(m->record, m->role, number);
	return record_is_ready(m->record) ? m->record : NULL;
}

void fleet_record_done(struct fleet *f, struct record *r)
{
	record_free(&f->post.records, r);
}

void fleet_give_back(struct fleet *f, struct message *m)
{
	message_free(&f->post.pools, m);
}
