#include "daemon/migration.h"

#include "base/log.h"
#include "migrate/migrate.h"

#include <errno.h>

static void *migration_main(void *context)
{
	struct migration *m = context;
	const struct config *c = m->settings->config;
	struct migrate_options options = {.schema = c->storage_postgres_schema,
		.path = migrate_path_setting(c->storage_postgres_migrations_path),
		.stop = &m->stop};
	PGconn *conn;

	log_info("migrating", "the schema is behind", "schema=%s", LOG_VALUE(options.schema));
	conn = pg_connect(&m->settings->pg, &m->err);
	m->ok = conn != NULL && migrate_up_all(conn, &options, &m->err);
	PQfinish(conn);
	ev_async_send(m->loop, &m->ended);
	return NULL;
}

static void migration_on_ended(struct ev_loop *loop, ev_async *w, int events)
{
	struct migration *m = w->data;

	(void)events;
	(void)pthread_join(m->thread, NULL);
	ev_async_stop(loop, w);
	m->running = false;
	settings_hold(&m->settings, NULL);
	m->events.on_end(m->events.context, m->ok ? NULL : &m->err);
}

void migration_init(struct migration *m, struct ev_loop *loop, struct migration_events events)
{
	m->loop = loop;
	m->events = events;
	ev_async_init(&m->ended, migration_on_ended);
	m->ended.data = m;
}

bool migration_start(struct migration *m, struct settings *settings, struct error *err)
{
	CHECK(!m->running);
	atomic_store(&m->stop, false);
	settings_hold(&m->settings, settings);
	ev_async_start(m->loop, &m->ended);
	errno = pthread_create(&m->thread, NULL, migration_main, m);
	m->running = errno == 0;
	if (m->running)
		return true;
	ev_async_stop(m->loop, &m->ended);
	settings_hold(&m->settings, NULL);
	return error_set_errno(err, ERROR_TRANSIENT, REASON_memory,
		"could not start a thread to migrate");
}

bool migration_is_running(const struct migration *m)
{
	return m->running;
}

void migration_stop(struct migration *m)
{
	atomic_store(&m->stop, true);
}
