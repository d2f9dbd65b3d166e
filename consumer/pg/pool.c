#include "pg/pool.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "pg/pg_error.h"
#include "pg/wait.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/*
 * One mutex guards everything except the connections on loan. A place is EMPTY, OPENING (the keeper
 * is connecting), IDLE, BUSY (on loan) or CHECKING (the keeper checks whether it is alive, or
 * closes it). A free connection goes to the waiter that came first; it becomes idle only if nobody
 * waits.
 */
enum place_state { PLACE_EMPTY, PLACE_OPENING, PLACE_IDLE, PLACE_BUSY, PLACE_CHECKING };

struct pool_place {
	struct pg_pool_conn loan; /* first, so that the borrower's pointer is also the place's */
	enum place_state state;
	int64_t idle_since_us;
};

/* On the stack of the thread that waits. */
struct pool_waiter {
	pthread_cond_t wake;
	struct pool_place *place; /* served */
	bool refused;             /* should give up: see pool.last_error */
	struct pool_waiter *next;
};

struct pg_pool {
	struct pg_pool_options options;
	char setup_sql[64];
	pthread_mutex_t lock;
	pthread_cond_t keeper_wake;
	pthread_condattr_t monotonic;
	pthread_t keeper;
	int cancel_fd; /* readable when the pool is closing: aborts an attempt to connect */
	bool closing;

	struct pool_waiter *first, **last;
	struct backoff backoff;
	int64_t next_try_us; /* to connect */
	struct error last_error;
	bool failing; /* the last attempt to connect failed: last_error says why */
	struct pg_pool_stats stats;

	size_t places_count;
	struct pool_place places[];
};

/* How often the keeper checks that idle connections are alive; borrowers check, too. */
static const int64_t pool_check_us = 30 * US_PER_SECOND;

/* ---- closing ---- */

static void pool_free(struct pg_pool *p)
{
	if (p->cancel_fd >= 0)
		(void)close(p->cancel_fd);
	pthread_cond_destroy(&p->keeper_wake);
	pthread_condattr_destroy(&p->monotonic);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void pg_pool_close(struct pg_pool **pool)
{
	struct pg_pool *p = *pool;

	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	CHECK(p->stats.busy == 0 && p->first == NULL);
	p->closing = true;
	(void)eventfd_write(p->cancel_fd, 1);
	pthread_cond_signal(&p->keeper_wake);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->keeper, NULL);
	for (size_t i = 0; i < p->places_count; i++) {
		if (p->places[i].state == PLACE_IDLE)
			PQfinish(p->places[i].loan.conn);
	}
	pool_free(p);
	*pool = NULL;
}

void pg_pool_get_stats(struct pg_pool *p, struct pg_pool_stats *out)
{
	pthread_mutex_lock(&p->lock);
	*out = p->stats;
	pthread_mutex_unlock(&p->lock);
}

/* ---- lending; the lock is held ---- */

/* Give a free connection to the first waiter; without one it becomes idle. */
static void pool_offer(struct pg_pool *p, struct pool_place *place)
{
	struct pool_waiter *w = p->first;

	if (w == NULL) {
		place->state = PLACE_IDLE;
		place->idle_since_us = clock_mono_us();
		p->stats.idle++;
		return;
	}
	p->first = w->next;
	if (p->first == NULL)
		p->last = &p->first;
	p->stats.waiting--;
	place->state = PLACE_BUSY;
	p->stats.busy++;
	w->place = place;
	pthread_cond_signal(&w->wake);
}

/* Close without the lock: it may write to the network. */
static void pool_discard(struct pg_pool *p, struct pool_place *place)
{
	PGconn *conn = place->loan.conn;

	place->state = PLACE_CHECKING;
	pthread_mutex_unlock(&p->lock);
	PQfinish(conn);
	pthread_mutex_lock(&p->lock);
	memset(&place->loan, 0, sizeof(place->loan));
	place->state = PLACE_EMPTY;
	p->stats.open--;
	pthread_cond_signal(&p->keeper_wake);
}

/* The one that became idle last, so that the others can age and be closed. */
static struct pool_place *pool_newest_idle(struct pg_pool *p)
{
	struct pool_place *newest = NULL;

	for (size_t i = 0; i < p->places_count; i++) {
		struct pool_place *place = &p->places[i];

		if (place->state == PLACE_IDLE &&
			(newest == NULL || place->idle_since_us > newest->idle_since_us))
			newest = place;
	}
	return newest;
}

/* An idle connection that is alive, or NULL. */
static struct pool_place *pool_take_idle(struct pg_pool *p)
{
	struct pool_place *place;

	while (p->first == NULL && (place = pool_newest_idle(p)) != NULL) {
		p->stats.idle--;
		if (clock_mono_us() - place->idle_since_us < PG_POOL_FRESH_US ||
			pg_wait_is_alive(place->loan.conn)) {
			place->state = PLACE_BUSY;
			p->stats.busy++;
			return place;
		}
		p->stats.broken_total++;
		pool_discard(p, place);
	}
	return NULL;
}

static void pool_leave_queue(struct pg_pool *p, const struct pool_waiter *w)
{
	struct pool_waiter **at = &p->first;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (p->last == &w->next)
		p->last = at;
	p->stats.waiting--;
}

static struct timespec pool_timespec(int64_t us)
{
	return (struct timespec){us / US_PER_SECOND, us % US_PER_SECOND * 1000};
}

/* Queue up until served, refused, or taken out of the queue at the deadline. */
static void pool_wait(struct pg_pool *p, struct pool_waiter *w, int64_t deadline_us)
{
	struct timespec until = pool_timespec(deadline_us);
	int64_t since_us = clock_mono_us();
	int late = 0;

	pthread_cond_init(&w->wake, &p->monotonic);
	*p->last = w;
	p->last = &w->next;
	p->stats.waiting++;
	p->stats.waits_total++;
	pthread_cond_signal(&p->keeper_wake);
	while (w->place == NULL && !w->refused && late == 0)
		late = pthread_cond_timedwait(&w->wake, &p->lock, &until);
	if (w->place == NULL && !w->refused)
		pool_leave_queue(p, w);
	p->stats.wait_us_total += clock_mono_us() - since_us;
	pthread_cond_destroy(&w->wake);
}

static bool pool_none(struct pg_pool *p, bool refused, struct error *err)
{
	p->stats.timeouts_total += !refused;
	if (err == NULL)
		return false;
	if (p->failing) {
		*err = p->last_error;
		return error_prefix(err, "could not connect to PostgreSQL");
	}
	error_set(err, ERROR_TRANSIENT, REASON_pool_exhausted,
		"no connection became free in time: all %zu are busy", p->places_count);
	return error_hint(err, "raise pool_max_conns, or find the statements that take too long");
}

bool pg_pool_take(struct pg_pool *p, int64_t deadline_us, struct pg_pool_conn **out,
	struct error *err)
{
	struct pool_waiter w = {.place = NULL};
	struct pool_place *place;
	bool ok;

	pthread_mutex_lock(&p->lock);
	place = pool_take_idle(p);
	if (place == NULL) {
		pool_wait(p, &w, deadline_us);
		place = w.place;
	}
	ok = place != NULL;
	if (ok) {
		p->stats.taken_total++;
		*out = &place->loan;
	} else {
		pool_none(p, w.refused, err);
	}
	pthread_mutex_unlock(&p->lock);
	return ok;
}

void pg_pool_give(struct pg_pool *p, struct pg_pool_conn *loan)
{
	struct pool_place *place = (struct pool_place *)loan;
	bool good = !loan->broken && PQstatus(loan->conn) == CONNECTION_OK &&
		    PQtransactionStatus(loan->conn) == PQTRANS_IDLE;

	pthread_mutex_lock(&p->lock);
	CHECK(place->state == PLACE_BUSY);
	p->stats.busy--;
	if (good) {
		pool_offer(p, place);
	} else {
		p->stats.broken_total++;
		pool_discard(p, place);
	}
	pthread_mutex_unlock(&p->lock);
}

/* ---- the keeper's thread; the lock is held except where stated ---- */

static struct pool_place *pool_empty_place(struct pg_pool *p)
{
	for (size_t i = 0; i < p->places_count; i++) {
		if (p->places[i].state == PLACE_EMPTY)
			return &p->places[i];
	}
	return NULL;
}

/* Waiting does not cure this error, so all waiters get it immediately. */
static void pool_refuse_all(struct pg_pool *p)
{
	while (p->first != NULL) {
		struct pool_waiter *w = p->first;

		p->first = w->next;
		w->refused = true;
		p->stats.waiting--;
		pthread_cond_signal(&w->wake);
	}
	p->last = &p->first;
}

static void pool_connect_one(struct pg_pool *p, struct pool_place *place)
{
	struct error err;
	PGconn *conn;

	place->state = PLACE_OPENING;
	p->stats.open++;
	pthread_mutex_unlock(&p->lock);
	conn = pg_wait_connect(&p->options.pg, p->setup_sql, p->options.settings.connect_timeout_us,
		p->cancel_fd, &err);
	pthread_mutex_lock(&p->lock);
	if (conn != NULL) {
		p->stats.connects_total++;
		p->failing = false;
		backoff_reset(&p->backoff);
		place->loan = (struct pg_pool_conn){.conn = conn};
		pool_offer(p, place);
		return;
	}
	place->state = PLACE_EMPTY;
	p->stats.open--;
	p->stats.connect_failures_total++;
	p->failing = true;
	p->last_error = err;
	p->next_try_us = clock_mono_us() + backoff_next_us(&p->backoff);
	if (err.kind == ERROR_REFUSED && err.needs_person)
		pool_refuse_all(p);
}

/* True if it did something, so there may be more to do. */
static bool pool_connect(struct pg_pool *p, int64_t now_us)
{
	struct pool_place *place;

	if (p->stats.open >= (uint64_t)p->options.settings.conns_min && p->first == NULL)
		return false;
	if (now_us < p->next_try_us && p->failing)
		return false;
	place = pool_empty_place(p);
	if (place == NULL)
		return false;
	pool_connect_one(p, place);
	return true;
}

/* Idle for too long, or closed by the server. */
static void pool_check_idle(struct pg_pool *p, int64_t now_us)
{
	for (size_t i = 0; i < p->places_count; i++) {
		struct pool_place *place = &p->places[i];
		bool alive, old;

		if (place->state != PLACE_IDLE)
			continue;
		alive = pg_wait_is_alive(place->loan.conn);
		old = now_us - place->idle_since_us >= p->options.settings.idle_timeout_us &&
		      p->stats.open > (uint64_t)p->options.settings.conns_min;
		if (alive && !old)
			continue;
		p->stats.idle--;
		p->stats.broken_total += !alive;
		p->stats.idle_closed_total += alive;
		pool_discard(p, place);
	}
}

/* When the keeper has work to do even if nobody wakes it. */
static int64_t pool_next_us(const struct pg_pool *p, int64_t now_us)
{
	int64_t period = p->options.settings.idle_timeout_us / 2;
	int64_t next = now_us + (period < pool_check_us ? period : pool_check_us);

	if (p->failing && p->next_try_us < next)
		next = p->next_try_us;
	/* Never a busy loop. */
	return next < now_us + US_PER_MS ? now_us + US_PER_MS : next;
}

static void *pool_keep(void *context)
{
	struct pg_pool *p = context;

	pthread_mutex_lock(&p->lock);
	while (!p->closing) {
		int64_t now_us = clock_mono_us();
		struct timespec until;

		if (pool_connect(p, now_us))
			continue;
		pool_check_idle(p, now_us);
		until = pool_timespec(pool_next_us(p, now_us));
		if (!p->closing)
			(void)pthread_cond_timedwait(&p->keeper_wake, &p->lock, &until);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ---- opening ---- */

bool pg_pool_open(struct pg_pool **out, const struct pg_pool_options *options, struct error *err)
{
	size_t count = (size_t)options->settings.conns_max;
	struct pg_pool *p;

	if (!pg_pool_settings_check(&options->settings, err))
		return false;
	p = calloc(1, sizeof(*p) + count * sizeof(p->places[0]));
	if (p == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	p->options = *options;
	p->places_count = count;
	p->last = &p->first;
	snprintf(p->setup_sql, sizeof(p->setup_sql), "SET statement_timeout = %lld",
		(long long)(options->statement_timeout_us / US_PER_MS));
	backoff_init(&p->backoff, 100 * US_PER_MS, 10 * US_PER_SECOND,
		(uint64_t)clock_wall_us() ^ (uint64_t)(uintptr_t)p);
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&p->monotonic);
	pthread_condattr_setclock(&p->monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&p->keeper_wake, &p->monotonic);
	p->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->cancel_fd < 0) {
		error_set_errno(err, ERROR_FATAL, REASON_resources, "could not make an eventfd");
		pool_free(p);
		return false;
	}
	if (pthread_create(&p->keeper, NULL, pool_keep, p) != 0) {
		error_set(err, ERROR_FATAL, REASON_resources, "could not start a thread");
		pool_free(p);
		return false;
	}
	*out = p;
	return true;
}
