#include "fuzz.h"
#include "fuzz_file.h"

#include "base/log.h"
#include "config/config.h"

static void check_fault(void *context, const struct error *err)
{
	(void)context;
	CHECK(err->kind == ERROR_FATAL && err->message[0] != '\0');
}

/* Any settings file: it is read, or refused with a reason; and what was read is whole. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_file file = {.fd = -1};
	struct config config;
	struct error err;

	log_set_level(LOG_LEVEL_ERROR);
	fuzz_file_set(&file, data, size);
	CHECK(config_init(&config, &err));
	if (!config_load_file(&config, file.path, &err))
		check_fault(NULL, &err);
	else
		(void)config_check_each(&config, check_fault, NULL);
	CHECK(config.spool_dir != NULL && config.mqtt_message_bytes_max > 0);
	config_fini(&config);
	return 0;
}
