/*
 * make_log DIR: a log of the messages on standard input, one a line: topic, tab, payload in
 * hexadecimal. For golden.py, which compares what `spool export` makes of it.
 */
#include "spool/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_SEGMENT_BYTES = 4 << 20 };

/* 2026-02-01T12:00:00Z and a second more for each. */
static const int64_t LOG_RECEIVED_US = INT64_C(1769947200000000);

static int make_failed(const struct error *err)
{
	fprintf(stderr, "%s\n", err->message);
	return EXIT_FAILURE;
}

/* In place; returns the size. */
static size_t make_bytes(char *hex)
{
	size_t size = 0;

	for (unsigned byte; sscanf(hex + 2 * size, "%2x", &byte) == 1; size++)
		hex[size] = (char)byte;
	return size;
}

int main(int argc, char **argv)
{
	struct spool_options options = {.dir = argc == 2 ? argv[1] : ".",
		.sync = SPOOL_SYNC_NONE,
		.segment_bytes = LOG_SEGMENT_BYTES,
		.bytes_max = 16 * LOG_SEGMENT_BYTES};
	struct record r = {.received_us = LOG_RECEIVED_US, .flags = 1};
	struct spool *spool;
	struct error err;
	char *line = NULL;
	size_t room = 0;

	if (!spool_open(&spool, &options, &err))
		return make_failed(&err);
	while (getline(&line, &room, stdin) > 0) {
		char *tab = strchr(line, '\t');

		if (tab == NULL)
			return EXIT_FAILURE;
		r.topic = slice_of(line, (size_t)(tab - line));
		r.trace = slice_from_cstr("");
		r.payload = slice_of(tab + 1, make_bytes(tab + 1));
		if (spool_append(spool, &r, false, &err) != SPOOL_APPENDED)
			return make_failed(&err);
		r.received_us += 1000000;
	}
	free(line);
	spool_close(&spool);
	return EXIT_SUCCESS;
}
