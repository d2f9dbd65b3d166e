#include "cases.h"

struct ocpp_store *store;
struct error err;

int store_cases_open(void **state)
{
	struct ocpp_store_options options = {.url = getenv("STORE_URL")};

	(void)state;
	if (options.url == NULL || !ocpp_store_open(&store, &options, &err)) {
		fprintf(stderr, "STORE_URL: %s\n", options.url == NULL ? "not set" : err.message);
		return 1;
	}
	return 0;
}

int store_cases_close(void **state)
{
	(void)state;
	ocpp_store_close(&store);
	return 0;
}
