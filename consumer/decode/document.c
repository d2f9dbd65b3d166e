#include "decode/document.h"

#include "decode/decode_private.h"

#include <stdlib.h>

struct document_reader {
	struct decode_json *json;
};

bool document_reader_new(struct document_reader **out, size_t bytes_max, struct error *err)
{
	struct document_reader *r = calloc(1, sizeof(*r));

	if (r == NULL || !decode_json_new(&r->json, bytes_max)) {
		free(r);
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	}
	*out = r;
	return true;
}

void document_reader_free(struct document_reader **reader)
{
	if (*reader != NULL)
		decode_json_free(&(*reader)->json);
	free(*reader);
	*reader = NULL;
}

bool document_read(struct document_reader *r, struct slice text, struct arena *arena,
	struct value *out, struct error *err)
{
	struct decode_room room = {.texts = arena, .nodes = arena};
	struct decode_tree tree = {.text_replaced = false};

	if (!decode_json_parse(r->json, text, room, &tree, err))
		return false;
	if (tree.text_replaced)
		return error_set(err, ERROR_POISON, REASON_bad_json,
			"a text, number or repeated key that cannot be stored as it is");
	*out = tree.root;
	return true;
}
