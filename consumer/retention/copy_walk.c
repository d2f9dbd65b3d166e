#include "retention/copy_walk.h"

#include "base/bytes.h"

#include <string.h>

enum { COPY_HEADER_BYTES = 19, COPY_VALUE_BYTES_MAX = 1 << 30 };

static const uint8_t copy_signature[11] = "PGCOPY\n\xff\r\n";

void copy_walk_init(struct copy_walk *w, size_t columns)
{
	*w = (struct copy_walk){.state = COPY_WALK_HEADER, .columns = columns};
}

bool copy_walk_is_between(const struct copy_walk *w)
{
	return w->state == COPY_WALK_ROW && w->part_size == 0;
}

/* Collects up to need bytes of a number, which may come in two pieces. Returns how many it
 * consumed. */
static size_t walk_collect(struct copy_walk *w, struct slice bytes, size_t need)
{
	size_t take = need - w->part_size;

	if (take > bytes.size)
		take = bytes.size;
	memcpy(w->part + w->part_size, bytes.data, take);
	w->part_size += take;
	return take;
}

static bool walk_header(struct copy_walk *w, const char **why_out)
{
	/* After the signature: flags, all of which must be 0, and the size of the extension. */
	if (memcmp(w->part, copy_signature, sizeof(copy_signature)) != 0 ||
		get_be32(w->part + sizeof(copy_signature)) != 0) {
		*why_out = "it does not begin with a header of COPY";
		return false;
	}
	w->left = get_be32(w->part + sizeof(copy_signature) + 4);
	w->state = w->left > 0 ? COPY_WALK_EXTENSION : COPY_WALK_ROW;
	return true;
}

static bool walk_row(struct copy_walk *w, const char **why_out)
{
	uint16_t count = get_be16(w->part);

	if (count == UINT16_MAX) {
		w->state = COPY_WALK_END;
		return true;
	}
	if (count != w->columns) {
		*why_out = "a row has the wrong number of columns";
		return false;
	}
	w->columns_left = count;
	w->state = COPY_WALK_LENGTH;
	return true;
}

/* A value has ended. */
static void walk_next_value(struct copy_walk *w)
{
	w->columns_left--;
	w->state = w->columns_left > 0 ? COPY_WALK_LENGTH : COPY_WALK_ROW;
	w->rows += w->columns_left == 0;
}

static bool walk_length(struct copy_walk *w, const char **why_out)
{
	uint32_t length = get_be32(w->part);

	if (length == UINT32_MAX || length == 0) {
		walk_next_value(w);
		return true;
	}
	if (length > COPY_VALUE_BYTES_MAX) {
		*why_out = "the length of a value is impossible";
		return false;
	}
	w->left = length;
	w->state = COPY_WALK_VALUE;
	return true;
}

/* Bytes that need no inspection. */
static size_t walk_pass(struct copy_walk *w, struct slice bytes)
{
	size_t take = (int64_t)bytes.size < w->left ? bytes.size : (size_t)w->left;

	w->left -= (int64_t)take;
	if (w->left > 0)
		return take;
	if (w->state == COPY_WALK_EXTENSION)
		w->state = COPY_WALK_ROW;
	else
		walk_next_value(w);
	return take;
}

size_t copy_walk_part(struct copy_walk *w, struct slice bytes, const char **why_out)
{
	static const struct {
		size_t bytes;
		bool (*take)(struct copy_walk *w, const char **why_out);
	} numbers[] = {
		[COPY_WALK_HEADER] = {COPY_HEADER_BYTES, walk_header},
		[COPY_WALK_ROW] = {2, walk_row},
		[COPY_WALK_LENGTH] = {4, walk_length},
		[COPY_WALK_END] = {0, NULL},
	};
	size_t taken;

	if (w->state == COPY_WALK_END) {
		*why_out = "there is more after its end";
		return 0;
	}
	if (w->state == COPY_WALK_EXTENSION || w->state == COPY_WALK_VALUE)
		return walk_pass(w, bytes);
	taken = walk_collect(w, bytes, numbers[w->state].bytes);
	if (w->part_size < numbers[w->state].bytes)
		return taken;
	w->part_size = 0;
	return numbers[w->state].take(w, why_out) ? taken : 0;
}

size_t copy_walk_step(struct copy_walk *w, struct slice bytes, const char **why_out)
{
	size_t passed = 0;

	while (passed < bytes.size) {
		size_t more = copy_walk_part(w, slice_skip(bytes, passed), why_out);

		if (more == 0)
			return 0;
		passed += more;
		if (w->state == COPY_WALK_END || copy_walk_is_between(w))
			break;
	}
	return passed;
}
