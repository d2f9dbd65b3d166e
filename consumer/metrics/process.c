#include "metrics/metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

static uint64_t process_us(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

/* proc(5), /proc/self/statm: all, resident, ... in pages. */
static void process_measure_memory(struct metrics *m)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned long long all, resident;
	char text[128];
	ssize_t size;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (size <= 0)
		return;
	text[size] = '\0';
	if (sscanf(text, "%llu %llu", &all, &resident) != 2)
		return;
	metrics_set(&m->process_virtual_bytes, all * page);
	metrics_set(&m->process_resident_bytes, resident * page);
}

static void process_measure_files(struct metrics *m)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	struct rlimit limit;
	uint64_t count = 0;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		metrics_set(&m->process_max_fds, limit.rlim_cur);
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) /* NOLINT: the stream is ours alone */
		count += entry->d_name[0] != '.';
	closedir(dir);
	metrics_set(&m->process_open_fds,
		count > 0 ? count - 1 : 0); /* without that of the folder */
}

void metrics_measure_process(struct metrics *m)
{
	struct rusage used;

	if (getrusage(RUSAGE_SELF, &used) == 0)
		metrics_set(&m->process_cpu_us,
			process_us(&used.ru_utime) + process_us(&used.ru_stime));
	process_measure_memory(m);
	process_measure_files(m);
}
