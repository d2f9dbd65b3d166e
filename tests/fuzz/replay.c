/*
 * Runs a fuzzer over files and folders of inputs, once each: main() of fuzzers where libFuzzer is
 * not. Fails if there is nothing to run, so that a corpus cannot get lost unseen.
 */
#include "fuzz.h"

#include "base/fs.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { REPLAY_BYTES_MAX = 64 << 20 };

static int replay_file(const char *path)
{
	struct error err;
	size_t size;
	char *text = fs_read_file(path, REPLAY_BYTES_MAX, &size, &err);
	uint8_t *exact;

	if (text == NULL) {
		fprintf(stderr, "%s\n", err.message);
		return -1;
	}
	/* Without the terminator, so that ASan sees a read past the end. */
	exact = malloc(size > 0 ? size : 1);
	if (exact == NULL)
		abort();
	memcpy(exact, text, size);
	free(text);
	fprintf(stderr, "%s\n", path); /* the last line names the input that crashed */
	(void)LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return 1;
}

/* How many inputs were run, or -1. */
static int replay(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int count = 0, one = 0;

	if (dir == NULL)
		return replay_file(path);
	while (one >= 0 && (entry = readdir(dir)) != NULL) {
		char inner[PATH_MAX];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
		one = replay(inner);
		count += one;
	}
	closedir(dir);
	return one < 0 ? -1 : count;
}

int main(int argc, char **argv)
{
	int count = 0, one;

	for (int i = 1; i < argc; i++) {
		one = replay(argv[i]);
		if (one < 0)
			return EXIT_FAILURE;
		count += one;
	}
	printf("%d inputs\n", count);
	return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
