#include "retention/copy_hide.h"

#include <stdlib.h>
#include <string.h>

void copy_hide_init(struct copy_hide *h, const struct part_header *header, struct pseudonyms *list)
{
	*h = (struct copy_hide){.list = list};
	copy_walk_init(&h->walk, header->columns_count);
	for (size_t i = 0; i < header->columns_count; i++)
		h->kinds[i] = token_kind_of(header->table, header->columns[i].name);
}

void copy_hide_free(struct copy_hide *h)
{
	free(h->buffer);
	h->buffer = NULL;
	h->room = h->given = h->held = 0;
}

/* After what was held back. */
static bool hide_put(struct copy_hide *h, struct slice piece, struct error *err)
{
	size_t size = h->held + piece.size;
	uint8_t *more;

	if (h->held > 0)
		memmove(h->buffer, h->buffer + h->given, h->held);
	if (size > h->room) {
		more = realloc(h->buffer, size);
		if (more == NULL)
			return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
		h->buffer = more;
		h->room = size;
	}
	memcpy(h->buffer + h->held, piece.data, piece.size);
	h->held = size;
	h->given = 0;
	return true;
}

/* For the value that comes next in the walk. */
static enum token_kind hide_kind(const struct copy_hide *h)
{
	if (h->walk.state != COPY_WALK_VALUE)
		return TOKEN_NONE;
	return h->kinds[h->walk.columns - h->walk.columns_left];
}

bool copy_hide_add(struct copy_hide *h, struct slice piece, const char *path, struct slice *out,
	struct error *err)
{
	const char *why = "";
	size_t passed;

	if (!hide_put(h, piece, err))
		return false;
	while (h->held > 0) {
		uint8_t *at = h->buffer + h->given;
		enum token_kind kind = hide_kind(h);

		if (kind != TOKEN_NONE && (int64_t)h->held < h->walk.left)
			break;
		if (kind != TOKEN_NONE)
			h->count += pseudonyms_in_value(h->list, kind, at, (size_t)h->walk.left);
		passed = copy_walk_part(&h->walk, slice_of(at, h->held), &why);
		if (passed == 0)
			return error_set(err, ERROR_DAMAGED, REASON_file, "\"%s\" is damaged: %s",
				path, why);
		h->given += passed;
		h->held -= passed;
	}
	*out = slice_of(h->buffer, h->given);
	return true;
}
