#include "base/fs.h"
#include "spool/spool_private.h"

/* One sync for many records: the first thread that needs its record on disk syncs for all. Threads
 * that come meanwhile wait for that sync to end, and check whether it covered theirs. */

void spool_show_readable(struct spool *s)
{
	s->last_seq = s->synced_seq >= s->durable_seq ? s->end.seq : s->synced_seq;
}

void spool_sync_active(struct spool *s)
{
	uint64_t up_to = s->end.seq;
	char path[SPOOL_PATH_BYTES];
	struct error err;
	int fd = s->active_fd;
	bool ok;

	CHECK(!s->syncing);
	spool_segment_path(s, s->segments[s->segments_count - 1].first_seq, path);
	s->syncing = true;
	pthread_mutex_unlock(&s->lock);
	ok = fs_sync_data(fd, path, &err);
	pthread_mutex_lock(&s->lock);
	s->syncing = false;
	s->syncs++;
	if (ok) {
		s->synced_seq = up_to;
		spool_show_readable(s);
	} else {
		spool_fail(s, &err);
	}
	pthread_cond_broadcast(&s->synced);
}

bool spool_sync(struct spool *s, struct error *err)
{
	uint64_t wanted;
	bool ok;

	pthread_mutex_lock(&s->lock);
	wanted = s->durable_seq;
	while (!s->failed && s->synced_seq < wanted) {
		if (s->syncing)
			pthread_cond_wait(&s->synced, &s->lock);
		else
			spool_sync_active(s);
	}
	ok = !s->failed;
	if (!ok && err != NULL)
		*err = s->failure;
	pthread_mutex_unlock(&s->lock);
	return ok;
}

bool spool_sync_segment(struct spool *s, struct error *err)
{
	bool ok;

	pthread_mutex_lock(&s->lock);
	while (s->syncing)
		pthread_cond_wait(&s->synced, &s->lock);
	if (!s->failed && s->active_fd >= 0 && s->options.sync != SPOOL_SYNC_NONE)
		spool_sync_active(s);
	ok = !s->failed;
	if (!ok && err != NULL)
		*err = s->failure;
	pthread_mutex_unlock(&s->lock);
	return ok;
}
