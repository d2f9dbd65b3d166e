#include "cases.h"

/*
 * Calls on command, for tests in Python: store_drive DEADLINE_MS. Each line of standard input is
 * set, lookup or list; each gets one line: "ok" or the error, and how many milliseconds it took.
 */
static bool drive_set(void)
{
	struct ocpp_token t = {"drive", "RFID", "GB", "TWK", "GBTWK1", NULL, "Thoughtworks", NULL,
		true, NULL, "ALWAYS", 0};

	return ocpp_token_set(store, &t, 1, &err);
}

static bool drive_lookup(void)
{
	const struct ocpp_token *found = NULL;
	bool ok = ocpp_token_lookup(store, "drive", &found, &err) == OCPP_FOUND;

	ocpp_free(found);
	return ok;
}

static bool drive_list(void)
{
	const struct ocpp_token *some = NULL;
	size_t count = 0;
	bool ok = ocpp_token_list(store, NULL, &some, &count, &err);

	ocpp_free(some);
	return ok && count == 1;
}

int main(int argc, char **argv)
{
	struct ocpp_store_options options = {
		.url = getenv("STORE_URL"),
		.replica_url = getenv("STORE_REPLICA"),
		.deadline_us = argc > 1 ? strtol(argv[1], NULL, 10) * US_PER_MS : 0,
	};
	char line[32];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!ocpp_store_open(&store, &options, &err)) {
		printf("%s\n", err.message);
		return 1;
	}
	while (fgets(line, sizeof(line), stdin) != NULL) {
		int64_t since_us = clock_mono_us();
		bool ok;

		err = (struct error){.message = "absent"};
		if (strcmp(line, "set\n") == 0)
			ok = drive_set();
		else if (strcmp(line, "list\n") == 0)
			ok = drive_list();
		else
			ok = drive_lookup();
		printf("%lld %s\n", (long long)((clock_mono_us() - since_us) / US_PER_MS),
			ok ? "ok" : err.message);
	}
	ocpp_store_close(&store);
	return 0;
}
