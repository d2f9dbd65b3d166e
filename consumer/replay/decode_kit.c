#include "replay/decode_kit.h"

#include "base/clock.h"

enum {
	DECODE_KIT_ARENA_BYTES = 256
				 << 20, /* address space: a window, the largest record, its rows */
	DECODE_KIT_USED_BYTES = 4 << 20,
};

bool decode_kit_open(struct decode_kit *kit, const struct config *config, struct error *err)
{
	if (!row_maker_open(&kit->maker, config, DECODE_KIT_BYTES_MAX, err))
		return false;
	rows_set_now(&kit->maker.builder, clock_wall_us());
	if (!arena_init(&kit->arena, DECODE_KIT_ARENA_BYTES, DECODE_KIT_USED_BYTES))
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	return true;
}

void decode_kit_make_room(struct decode_kit *kit, struct replay_source *source)
{
	if (kit->arena.used < DECODE_KIT_USED_BYTES)
		return;
	replay_source_drop_window(source);
	arena_reset(&kit->arena);
}

void decode_kit_close(struct decode_kit *kit)
{
	row_maker_close(&kit->maker);
	arena_fini(&kit->arena);
}
