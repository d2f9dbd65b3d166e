#ifndef FUZZ_FILE_H
#define FUZZ_FILE_H

#include "base/check.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file in memory that holds an input. fd: -1 at first, then used again. */
struct fuzz_file {
	int fd;
	char path[64];
};

static inline void fuzz_file_set(struct fuzz_file *f, const void *data, size_t size)
{
	if (f->fd < 0) {
		f->fd = memfd_create("fuzz", MFD_CLOEXEC);
		CHECK(f->fd >= 0);
		snprintf(f->path, sizeof(f->path), "/proc/self/fd/%d", f->fd);
	}
	CHECK(ftruncate(f->fd, 0) == 0);
	CHECK(lseek(f->fd, 0, SEEK_SET) == 0);
	CHECK(pwrite(f->fd, data, size, 0) == (ssize_t)size);
}

#endif
