#include "signatures/key_list.h"

#include "base/fs.h"
#include "signatures/ocmf.h"
#include "signatures/public_key.h"

#include <stdlib.h>

enum { KEY_LIST_BYTES_MAX = 64 << 20, KEY_LIST_ARENA_BYTES = 1 << 20 };

struct key_list_entry {
	struct slice name;
	struct slice key;
	size_t line;
};

struct key_list {
	char *text;
	struct key_list_entry *entries; /* sorted by name */
	size_t count;
};

static int key_list_order(const void *a, const void *b)
{
	const struct key_list_entry *left = a, *right = b;

	return slice_compare(left->name, right->name);
}

static bool key_list_is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct slice key_list_trim(struct slice s)
{
	while (s.size > 0 && key_list_is_blank(s.data[0]))
		s = slice_skip(s, 1);
	while (s.size > 0 && key_list_is_blank(s.data[s.size - 1]))
		s.size--;
	return s;
}

static struct slice key_list_take_line(struct slice *text)
{
	const uint8_t *end = memchr(text->data, '\n', text->size);
	struct slice line = *text;

	if (end == NULL) {
		*text = slice_skip(*text, text->size);
		return line;
	}
	line.size = (size_t)(end - text->data);
	*text = slice_skip(*text, line.size + 1);
	return line;
}

/* Reported when the list is read, not for each of thousands of readings. */
static bool key_list_is_key(struct slice text, struct arena *arena)
{
	struct arena_mark mark = arena_mark(arena);
	EVP_PKEY *key = NULL;

	for (size_t i = 0; key == NULL && ocmf_curve_at(i) != NULL; i++)
		key = public_key_read(text, ocmf_curve_at(i), arena);
	EVP_PKEY_free(key);
	arena_rewind(arena, mark);
	return key != NULL;
}

static bool key_list_fault(struct error *err, const char *path, size_t line, const char *what,
	const char *hint)
{
	error_set(err, ERROR_FATAL, REASON_bad_keys, "%s:%zu: %s", path, line, what);
	return error_hint(err, "%s", hint);
}

static bool key_list_take_entry(struct slice line, struct arena *arena, const char *path,
	struct key_list_entry *entry, struct error *err)
{
	size_t size = 0;

	while (size < line.size && !key_list_is_blank(line.data[size]))
		size++;
	entry->name = slice_of(line.data, size);
	entry->key = key_list_trim(slice_skip(line, size));
	if (entry->key.size == 0)
		return key_list_fault(err, path, entry->line, "a name without a key",
			"a line is: the name of a station, EVSE or meter, a blank, the key");
	if (!key_list_is_key(entry->key, arena))
		return key_list_fault(err, path, entry->line, "not a public key",
			"write it in one line: openssl pkey -pubin -in KEY.pem -outform DER | "
			"base64 -w0");
	return true;
}

static bool key_list_take(struct key_list *list, struct slice text, struct arena *arena,
	const char *path, struct error *err)
{
	for (size_t number = 1; text.size > 0; number++) {
		struct slice line = key_list_trim(key_list_take_line(&text));
		struct key_list_entry *entry = &list->entries[list->count];

		if (line.size == 0 || line.data[0] == '#')
			continue;
		entry->line = number;
		if (!key_list_take_entry(line, arena, path, entry, err))
			return false;
		list->count++;
	}
	qsort(list->entries, list->count, sizeof(*list->entries), key_list_order);
	for (size_t i = 1; i < list->count; i++) {
		if (slice_equal(list->entries[i - 1].name, list->entries[i].name))
			return key_list_fault(err, path, list->entries[i].line,
				"a name that another line has, too", "keep the key in use");
	}
	return true;
}

static size_t key_list_lines(struct slice text)
{
	size_t lines = 1;

	for (size_t i = 0; i < text.size; i++)
		lines += text.data[i] == '\n';
	return lines;
}

bool key_list_read(const char *path, struct key_list **out, struct error *err)
{
	struct key_list *list = calloc(1, sizeof(*list));
	struct arena arena;
	size_t size;
	bool ok = false;

	*out = NULL;
	if (list == NULL || !arena_init(&arena, KEY_LIST_ARENA_BYTES, 0)) {
		free(list);
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	}
	list->text = fs_read_file(path, KEY_LIST_BYTES_MAX, &size, err);
	if (list->text != NULL) {
		struct slice text = slice_of(list->text, size);

		if (size >= 3 && memcmp(list->text, "\xef\xbb\xbf", 3) == 0)
			text = slice_skip(text, 3); /* the mark of some editors */

		list->entries = calloc(key_list_lines(text), sizeof(*list->entries));
		ok = list->entries == NULL
			     ? error_set(err, ERROR_FATAL, REASON_memory, "out of memory")
			     : key_list_take(list, text, &arena, path, err);
	}
	arena_fini(&arena);
	if (ok)
		*out = list;
	else
		key_list_free(&list);
	return ok;
}

void key_list_free(struct key_list **list)
{
	if (*list != NULL) {
		free((*list)->text);
		free((*list)->entries);
	}
	free(*list);
	*list = NULL;
}

struct slice key_list_find(const struct key_list *list, struct slice name)
{
	const struct key_list_entry wanted = {.name = name}, *found;

	if (list == NULL || slice_is_absent(name))
		return (struct slice){NULL, 0};
	found = bsearch(&wanted, list->entries, list->count, sizeof(*list->entries),
		key_list_order);
	return found == NULL ? (struct slice){NULL, 0} : found->key;
}
