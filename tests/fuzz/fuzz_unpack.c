#include "fuzz.h"
#include "fuzz_file.h"

#include "replay/readers/unpack.h"

#include <stdlib.h>

/* Any packed file: what comes out of it also comes out of it through a pipe. */
enum { PIPE_BYTES = 60 * 1024 }; /* fits into one without a reader */

static size_t input_bytes;

static void on_damage(void *context, int64_t offset, const char *why)
{
	int *count = context;

	CHECK(offset >= 0 && offset <= (int64_t)input_bytes && why != NULL);
	++*count;
}

static bool is_packed(const uint8_t *data, size_t size)
{
	return (size >= 2 && data[0] == 0x1f && data[1] == 0x8b) ||
	       (size >= 4 && memcmp(data, "\x28\xb5\x2f\xfd", 4) == 0);
}

static int unpack_pipe(const uint8_t *data, size_t size)
{
	int damaged = 0, fds[2], out;
	struct unpack_events events = {on_damage, &damaged};
	struct error err;

	CHECK(pipe(fds) == 0);
	CHECK(write(fds[1], data, size) == (ssize_t)size);
	close(fds[1]);
	CHECK(unpack(fds[0], "fuzz", events, &out, &err));
	close(fds[0]);
	return out;
}

static void check_equal(int a, int b)
{
	off_t size = lseek(a, 0, SEEK_END);
	char x[4096], y[4096];
	ssize_t got;

	CHECK(size == lseek(b, 0, SEEK_END));
	for (off_t at = 0; at < size; at += got) {
		got = pread(a, x, sizeof(x), at);
		CHECK(got > 0 && pread(b, y, (size_t)got, at) == got);
		CHECK(memcmp(x, y, (size_t)got) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_file file = {.fd = -1};
	int damaged = 0, out = -1, piped;
	struct unpack_events events = {on_damage, &damaged};
	struct error err;

	input_bytes = size;
	fuzz_file_set(&file, data, size);
	CHECK(unpack(file.fd, "fuzz", events, &out, &err));
	CHECK((out == file.fd) == !is_packed(data, size));
	if (size <= PIPE_BYTES) {
		piped = unpack_pipe(data, size);
		/* An archive of a log is put right from its summary, which a pipe comes to last. */
		if (damaged == 0 && memmem(data, size, "\x50\x2a\x4d\x18", 4) == NULL)
			check_equal(out, piped);
		close(piped);
	}
	if (out != file.fd)
		close(out);
	return 0;
}
