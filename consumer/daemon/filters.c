#include "daemon/filters.h"

#include "base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILTERS_FILE_BYTES_MAX = 1 << 20 };

static bool filters_memory(struct error *err)
{
	return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
}

static bool filters_want(struct filters *f, const struct config *c, struct error *err)
{
	f->wanted = calloc(c->mqtt_topics.count + 1, sizeof(*f->wanted));
	if (f->wanted == NULL)
		return filters_memory(err);
	for (size_t i = 0; i < c->mqtt_topics.count; i++) {
		const char *topic = c->mqtt_topics.items[i];
		char *filter = NULL;

		if (c->mqtt_group[0] == '\0')
			filter = strdup(topic);
		else if (asprintf(&filter, "$share/%s/%s", c->mqtt_group, topic) < 0)
			filter = NULL;
		if (filter == NULL)
			return filters_memory(err);
		f->wanted[f->wanted_count++] = filter;
	}
	return true;
}

static bool filters_wants(const struct filters *f, const char *filter)
{
	for (size_t i = 0; i < f->wanted_count; i++) {
		if (strcmp(f->wanted[i], filter) == 0)
			return true;
	}
	return false;
}

static bool filters_read_old(struct filters *f, struct error *err)
{
	size_t size, lines = 0;
	char *text, *line, *rest;
	bool there;

	if (!fs_exists(f->path, &there, err))
		return false;
	if (!there)
		return true;
	text = fs_read_own_file(f->path, FILTERS_FILE_BYTES_MAX, &size, err);
	if (text == NULL)
		return false;
	for (size_t i = 0; i < size; i++)
		lines += text[i] == '\n';
	f->old = calloc(lines + 1, sizeof(*f->old));
	rest = text;
	while (f->old != NULL && (line = strsep(&rest, "\n")) != NULL) {
		if (*line == '\0' || filters_wants(f, line))
			continue;
		f->old[f->old_count] = strdup(line);
		if (f->old[f->old_count] == NULL)
			break;
		f->old_count++;
	}
	free(text);
	return f->old != NULL || filters_memory(err);
}

bool filters_init(struct filters *f, const struct config *config, struct error *err)
{
	*f = (struct filters){.wanted = NULL};
	snprintf(f->path, sizeof(f->path), "%s/subscriptions", config->spool_dir);
	if (filters_want(f, config, err) && filters_read_old(f, err))
		return true;
	filters_fini(f);
	return false;
}

static bool filters_leave(struct filters *f, char *const *filters, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (filters_wants(f, filters[i]))
			continue;
		f->old[f->old_count] = strdup(filters[i]);
		if (f->old[f->old_count] == NULL)
			return false;
		f->old_count++;
	}
	return true;
}

bool filters_reload(struct filters *f, const struct config *config, struct filters *before_out,
	struct error *err)
{
	struct filters fresh = {.wanted = NULL};
	bool ok;

	memcpy(fresh.path, f->path, sizeof(fresh.path));
	fresh.old = calloc(f->wanted_count + f->old_count + 1, sizeof(*fresh.old));
	ok = fresh.old != NULL ? filters_want(&fresh, config, err) : filters_memory(err);
	if (ok && (!filters_leave(&fresh, f->wanted, f->wanted_count) ||
			  !filters_leave(&fresh, f->old, f->old_count)))
		ok = filters_memory(err);
	if (!ok) {
		filters_fini(&fresh);
		return false;
	}
	*before_out = *f;
	*f = fresh;
	return true;
}

void filters_fini(struct filters *f)
{
	for (size_t i = 0; i < f->wanted_count; i++)
		free(f->wanted[i]);
	for (size_t i = 0; i < f->old_count; i++)
		free(f->old[i]);
	free(f->wanted);
	free(f->old);
	*f = (struct filters){.wanted = NULL};
}

bool filters_save(const struct filters *f, struct error *err)
{
	size_t size = 0;
	char *text, *at;
	bool ok;

	for (size_t i = 0; i < f->wanted_count; i++)
		size += strlen(f->wanted[i]) + 1;
	text = malloc(size + 1);
	if (text == NULL)
		return filters_memory(err);
	at = text;
	for (size_t i = 0; i < f->wanted_count; i++)
		at = stpcpy(stpcpy(at, f->wanted[i]), "\n");
	ok = fs_replace_file(f->path, slice_of(text, size), err);
	free(text);
	return ok;
}

bool filters_forget(const struct filters *f, struct error *err)
{
	return fs_unlink_if_there(f->path, err);
}
