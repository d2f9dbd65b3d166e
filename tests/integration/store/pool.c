#include "cases.h"

#include "pg/pool.h"

#include <pthread.h>
#include <sched.h>

/* The pool by itself. STORE_URL is any database. */
static struct pg_pool *pool;

static void open_pool(int64_t max, int64_t min, int64_t idle_timeout_us, const char *more)
{
	static char url[PG_CONNINFO_BYTES_MAX];
	struct pg_pool_options o = {.settings = pg_pool_settings_default()};

	snprintf(url, sizeof(url), "%s%s", getenv("STORE_URL"), more);
	o.pg = (struct pg_options){.url = url, .schema = "public", .application = "pool"};
	o.settings.conns_max = max;
	o.settings.conns_min = min;
	o.settings.idle_timeout_us = idle_timeout_us;
	must(pg_pool_open(&pool, &o, &err));
}

static int64_t in_seconds(int64_t seconds)
{
	return clock_mono_us() + seconds * US_PER_SECOND;
}

static struct pg_pool_conn *take(void)
{
	struct pg_pool_conn *c;

	must(pg_pool_take(pool, in_seconds(20), &c, &err));
	return c;
}

static struct pg_pool_stats stats(void)
{
	struct pg_pool_stats s;

	pg_pool_get_stats(pool, &s);
	return s;
}

/* The count for a condition on the statistics s. */
#define wait_for(condition)                                                                        \
	for (int64_t until_ = in_seconds(20);;) {                                                  \
		struct pg_pool_stats s = stats();                                                  \
		if (condition)                                                                     \
			break;                                                                     \
		if (clock_mono_us() > until_)                                                      \
			fail_msg("never: %s", #condition);                                         \
		sched_yield();                                                                     \
	}

/* ---- waiting ---- */

enum { WAITERS = 6 };

static struct {
	pthread_mutex_t lock;
	int order[WAITERS];
	int served;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *wait_in_queue(void *number)
{
	struct pg_pool_conn *c;
	struct error e;

	if (!pg_pool_take(pool, in_seconds(20), &c, &e))
		return NULL;
	pthread_mutex_lock(&queue.lock);
	queue.order[queue.served++] = (int)(intptr_t)number;
	pthread_mutex_unlock(&queue.lock);
	pg_pool_give(pool, c);
	return NULL;
}

static void waiters_are_served_in_the_order_of_arrival(void **state)
{
	pthread_t threads[WAITERS];
	struct pg_pool_conn *held;

	(void)state;
	open_pool(1, 0, US_PER_SECOND * 60, "");
	held = take();
	for (int i = 0; i < WAITERS; i++) {
		assert_int_equal(
			pthread_create(&threads[i], NULL, wait_in_queue, (void *)(intptr_t)i), 0);
		wait_for(s.waiting == (uint64_t)i + 1);
	}
	pg_pool_give(pool, held);
	for (int i = 0; i < WAITERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(queue.served, WAITERS);
	for (int i = 0; i < WAITERS; i++)
		assert_int_equal(queue.order[i], i);
	assert_int_equal(stats().open, 1);
	assert_int_equal(stats().waits_total, WAITERS + 1); /* the first waited for a connection */
	pg_pool_close(&pool);
}

static void who_gets_none_by_the_deadline_is_told_that_all_are_busy(void **state)
{
	struct pg_pool_conn *held, *other;
	int64_t since_us;

	(void)state;
	open_pool(1, 1, US_PER_SECOND * 60, "");
	held = take();
	since_us = clock_mono_us();
	assert_false(pg_pool_take(pool, since_us + 50 * US_PER_MS, &other, &err));
	assert_true(clock_mono_us() - since_us >= 50 * US_PER_MS);
	assert_int_equal(err.kind, ERROR_TRANSIENT);
	assert_string_equal(err.reason, "pool_exhausted");
	assert_int_equal(stats().waiting, 0);
	assert_int_equal(stats().timeouts_total, 1);
	pg_pool_give(pool, held);
	pg_pool_give(pool, take());
	pg_pool_close(&pool);
}

static void wrong_password_is_told_before_the_deadline(void **state)
{
	struct pg_pool_conn *c;
	int64_t since_us = clock_mono_us();

	(void)state;
	open_pool(2, 2, US_PER_SECOND * 60, "&password=wrong");
	assert_false(pg_pool_take(pool, in_seconds(60), &c, &err));
	assert_true(clock_mono_us() - since_us < 30 * US_PER_SECOND);
	assert_string_equal(err.reason, "refused");
	assert_non_null(strstr(err.message, "password authentication failed"));
	pg_pool_close(&pool);
}

static void server_that_is_not_there_is_told_at_the_deadline(void **state)
{
	struct pg_pool_conn *c;
	int64_t since_us = clock_mono_us();

	(void)state;
	open_pool(2, 2, US_PER_SECOND * 60, "&port=1");
	assert_false(pg_pool_take(pool, since_us + 300 * US_PER_MS, &c, &err));
	assert_true(clock_mono_us() - since_us >= 300 * US_PER_MS);
	assert_int_equal(err.kind, ERROR_TRANSIENT);
	assert_non_null(strstr(err.message, "could not connect to PostgreSQL: "));
	assert_non_null(strstr(err.message, "Connection refused"));
	/* Tried again, but with a wait between: far from as often as it can be refused. */
	assert_in_range(stats().connect_failures_total, 1, 10);
	pg_pool_close(&pool);
}

/* ---- what is lent ---- */

static void connections_are_kept_to_the_minimum_and_idle_ones_closed(void **state)
{
	struct pg_pool_conn *c[4];

	(void)state;
	open_pool(4, 2, 100 * US_PER_MS, "");
	wait_for(s.idle == 2); /* without being asked */
	for (int i = 0; i < 4; i++)
		c[i] = take();
	assert_int_equal(stats().open, 4);
	for (int i = 0; i < 4; i++)
		pg_pool_give(pool, c[i]);
	wait_for(s.open == 2 && s.idle == 2);
	assert_int_equal(stats().idle_closed_total, 2);
	assert_int_equal(stats().broken_total, 0);
	pg_pool_close(&pool);
}

static void connection_left_inside_a_transaction_is_not_lent_again(void **state)
{
	struct pg_pool_conn *c;
	int pid;

	(void)state;
	open_pool(1, 0, US_PER_SECOND * 60, "");
	c = take();
	pid = PQbackendPID(c->conn);
	PQclear(PQexec(c->conn, "BEGIN"));
	c->prepared[0] = 1;
	pg_pool_give(pool, c);
	c = take();
	assert_int_not_equal(PQbackendPID(c->conn), pid);
	assert_int_equal(c->prepared[0], 0);
	assert_int_equal(stats().broken_total, 1);
	pg_pool_give(pool, c);
	pg_pool_close(&pool);
}

static void idle_connection_that_the_server_ended_is_not_lent(void **state)
{
	struct pg_pool_conn *victim, *other;
	char sql[128];
	int64_t since_us;
	PGresult *r;

	(void)state;
	open_pool(2, 0, US_PER_SECOND * 60, "");
	victim = take();
	other = take();
	/* Until it is gone: the function waits for that. */
	snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d, 10000)",
		PQbackendPID(victim->conn));
	pg_pool_give(pool, victim);
	since_us = clock_mono_us();
	r = PQexec(other->conn, sql);
	assert_string_equal(PQgetvalue(r, 0, 0), "t");
	PQclear(r);
	wait_for(clock_mono_us() - since_us > PG_POOL_FRESH_US && s.idle == 1);
	victim = take();
	r = PQexec(victim->conn, "SELECT 1");
	assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
	PQclear(r);
	assert_int_equal(stats().broken_total, 1);
	pg_pool_give(pool, victim);
	pg_pool_give(pool, other);
	pg_pool_close(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waiters_are_served_in_the_order_of_arrival),
		cmocka_unit_test(who_gets_none_by_the_deadline_is_told_that_all_are_busy),
		cmocka_unit_test(wrong_password_is_told_before_the_deadline),
		cmocka_unit_test(server_that_is_not_there_is_told_at_the_deadline),
		cmocka_unit_test(connections_are_kept_to_the_minimum_and_idle_ones_closed),
		cmocka_unit_test(connection_left_inside_a_transaction_is_not_lent_again),
		cmocka_unit_test(idle_connection_that_the_server_ended_is_not_lent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
