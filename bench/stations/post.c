#include "stations/post.h"

#include "base/clock.h"
#include "stations/digits.h"

static const int64_t POST_COPY_US_MAX = 60 * US_PER_SECOND;
static const int64_t POST_RETRY_US_MIN = 2 * US_PER_SECOND;
static const int64_t POST_RETRY_US_MAX = 30 * US_PER_SECOND;

/* One attempt at an exchange. */
struct post_attempt {
	struct station *station;
	const struct exchange *exchange;
	struct content *content;
	int64_t call_us, answer_us;
	struct message *call, *answer;
};

bool post_init(struct post *p, const struct post_options *o)
{
	p->o = *o;
	p->pools = (struct message_pools){0};
	p->records = (struct record_pool){0};
	return outbox_init(&p->outbox, o->messages_max);
}

void post_fini(struct post *p)
{
	outbox_fini(&p->outbox);
	message_pools_fini(&p->pools);
	record_pool_fini(&p->records);
}

void post_uuid(struct rng *r, char out[static STATION_TRANSACTION_BYTES])
{
	uint64_t high = (rng_next(r) & ~UINT64_C(0xf000)) | 0x4000;
	uint64_t low = (rng_next(r) & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
	uint8_t text[STATION_TRANSACTION_BYTES];
	uint8_t *at = put_hex(text, high >> 32, 8);

	*at++ = '-';
	at = put_hex(at, high >> 16, 4);
	*at++ = '-';
	at = put_hex(at, high, 4);
	*at++ = '-';
	at = put_hex(at, low >> 48, 4);
	*at++ = '-';
	at = put_hex(at, low, 12);
	*at = '\0';
	memcpy(out, text, sizeof(text));
}

/* Stations of 1.6 count; those of 2.0.1, and the CSMS, use UUIDs. */
static size_t post_message_id(struct station *s, bool from_csms,
	uint8_t out[static MESSAGE_ID_BYTES])
{
	if (s->version == OCPP_16 && !from_csms)
		return (size_t)(put_digits(out, ++s->message_ids) - out);
	post_uuid(&s->rng, (char *)out);
	return STATION_TRANSACTION_BYTES - 1;
}

static struct message *post_make(struct post *p, const struct post_attempt *a,
	enum message_kind kind)
{
	struct station *s = a->station;
	struct envelope e = {p->o.shape, kind, a->exchange, a->content};
	struct writer payload, facts;
	struct message *m;
	bool empty, outwards = (kind == MESSAGE_CALL) == a->exchange->from_csms;

	writer_init(&payload, p->payload, sizeof(p->payload),
		s->msgpack ? WRITER_MSGPACK : WRITER_JSON);
	exchange_put(&payload, &e, &empty);
	writer_init(&facts, p->facts, sizeof(p->facts),
		s->msgpack ? WRITER_JSON_OF_MSGPACK : WRITER_JSON);
	if (p->o.facts)
		exchange_put_facts(&facts, &e, empty);
	CHECK(!payload.full && !facts.full);
	m = message_new(&p->pools, writer_slice(&payload).size + writer_slice(&facts).size);
	m->station = s;
	m->copy = NULL;
	m->record = NULL;
	m->duplicate_of = 0;
	m->kind = (uint8_t)kind;
	m->direction = outwards ? MESSAGE_OUT : MESSAGE_IN;
	m->action = (uint8_t)a->exchange->action;
	m->id_size = (uint8_t)a->content->id.size;
	memcpy(m->id, a->content->id.data, a->content->id.size);
	m->payload_size = (uint32_t)writer_slice(&payload).size;
	m->facts_size = (uint32_t)writer_slice(&facts).size;
	memcpy(m->bytes, p->payload, m->payload_size);
	memcpy(m->bytes + m->payload_size, p->facts, m->facts_size);
	return m;
}

static void post_new_trace(struct rng *r, struct message *m)
{
	m->trace[0] = rng_next(r);
	m->trace[1] = rng_next(r);
}

/* Call and answer. MaEVE's manager answers within the trace of the call; its gateway starts a new
 * one for every frame of a station, answers included. */
static void post_try(struct post *p, struct post_attempt *a)
{
	struct content *c = a->content;
	struct rng *r = &a->station->rng;
	uint8_t id[MESSAGE_ID_BYTES];

	c->id = slice_of(id, post_message_id(a->station, a->exchange->from_csms, id));
	c->answered_us = a->answer_us;
	a->call = post_make(p, a, MESSAGE_CALL);
	post_new_trace(r, a->call);
	a->call->span = rng_next(r);
	a->answer = post_make(p, a, c->error_code == NULL ? MESSAGE_RESULT : MESSAGE_ERROR);
	if (a->exchange->from_csms) {
		post_new_trace(r, a->answer);
	} else {
		a->answer->trace[0] = a->call->trace[0];
		a->answer->trace[1] = a->call->trace[1];
	}
	a->answer->span = rng_next(r);
	a->call->due_us = a->call_us;
	a->answer->due_us = a->answer_us;
	if (p->o.reorder_us > 0) {
		a->call->due_us += rng_between(r, 0, p->o.reorder_us);
		a->answer->due_us += rng_between(r, 0, p->o.reorder_us);
	}
}

static void post_expect(struct record *record, struct message *m)
{
	m->record = record;
	m->role = record_expect(record);
}

/* The same bytes once more, as a broker does after a lost PUBACK. */
static void post_copy(struct post *p, struct rng *r, struct message *m)
{
	struct message *copy = message_copy(&p->pools, m);

	copy->due_us = m->due_us + rng_between(r, 1, POST_COPY_US_MAX);
	copy->record = NULL;
	copy->copy = NULL;
	m->copy = copy;
	outbox_put(&p->outbox, copy);
}

static void post_put(struct post *p, struct message *m)
{
	if (p->o.values_only && (m->action != ACTION_METER_VALUES || m->kind != MESSAGE_CALL))
		message_free(&p->pools, m);
	else
		outbox_put(&p->outbox, m);
}

/* The station had no answer in time and asks again under a new message id. */
static void post_retry(struct post *p, const struct post_attempt *first)
{
	struct post_attempt a = *first;
	struct content *c = a.content;

	a.call_us = first->call->due_us +
		    rng_between(&a.station->rng, POST_RETRY_US_MIN, POST_RETRY_US_MAX);
	a.answer_us = a.call_us + (first->answer_us - first->call_us);
	c->attempt = 1;
	post_try(p, &a);
	first->call->copy = a.call;
	if (c->record != NULL) {
		post_expect(c->record, a.call);
		if (c->record_answer)
			post_expect(c->record, a.answer);
	}
	post_put(p, a.call);
	post_put(p, a.answer);
}

void post_exchange(struct post *p, struct station *s, const struct exchange *x, struct content *c,
	int64_t at_us)
{
	struct rng *r = &s->rng;
	struct post_attempt a = {.station = s, .exchange = x, .content = c, .call_us = at_us};
	bool twice = rng_permille(r, p->o.duplicates_permille);

	a.answer_us = at_us + rng_between(r, 20 * US_PER_MS, 300 * US_PER_MS);
	s->busy_us = a.answer_us + 20 * US_PER_MS;
	c->station = s;
	c->attempt = 0;
	/* Without a time of its own a second call would be a second fact, not the same one. */
	c->retried = twice && c->time.size > 0 && rng_permille(r, 500);
	post_try(p, &a);
	if (c->record != NULL) {
		post_expect(c->record, a.call);
		if (c->record_answer && !c->retried)
			post_expect(c->record, a.answer);
	}
	post_put(p, a.call);
	post_put(p, a.answer);
	if (c->retried)
		post_retry(p, &a);
	else if (twice)
		post_copy(p, r, a.call);
	if (rng_permille(r, p->o.duplicates_permille))
		post_copy(p, r, a.answer);
}
