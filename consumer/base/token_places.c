#include "base/token_places.h"

#include "base/bytes.h"
#include "base/msgpack_text.h"

#include <string.h>

enum { FIXMAP = 0x80, FIXARRAY = 0x90 };

static const struct slice member_sample = SLICE("sampledValue"), member_value = SLICE("value"),
			  member_id = SLICE("id");

const struct token_place token_places[] = {
#define PLACE(table, column, kind) {#table, #column, TOKEN_##kind},
#define NEVER(member)
#define NUMBER(member)
#include "base/token_places.def"
#undef NUMBER
#undef NEVER
#undef PLACE
};
const size_t token_places_count = sizeof(token_places) / sizeof(*token_places);

const struct token_stranger token_strangers[] = {
#define PLACE(table, column, kind)
#define NEVER(member) {SLICE(#member), false},
#define NUMBER(member) {SLICE(#member), true},
#include "base/token_places.def"
#undef NUMBER
#undef NEVER
#undef PLACE
};
const size_t token_strangers_count = sizeof(token_strangers) / sizeof(*token_strangers);

enum token_kind token_kind_of(const char *table, const char *column)
{
	for (size_t i = 0; i < token_places_count; i++) {
		if (strcmp(token_places[i].table, table) == 0 &&
			strcmp(token_places[i].column, column) == 0)
			return token_places[i].kind;
	}
	return TOKEN_NONE;
}

const char *token_kind_name(enum token_kind kind)
{
	static const char *const names[] = {"none", "name", "words", "json", "bytes", "readings"};

	return names[kind];
}

bool token_is_number(struct slice text)
{
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] != '.' && (text.data[i] < '0' || text.data[i] > '9'))
			return false;
	}
	return true;
}

bool token_may_be(struct slice member, struct slice text, bool in_sample)
{
	bool number = token_is_number(text);

	if (number && in_sample && slice_equal(member, member_value))
		return false;
	for (size_t i = 0; i < token_strangers_count; i++) {
		if ((number || !token_strangers[i].number) &&
			slice_equal(member, token_strangers[i].name))
			return false;
	}
	return true;
}

/* ---- JSON ---- */

static size_t json_back(struct slice bytes, size_t at, const char *any)
{
	while (at > 0 && bytes.data[at - 1] != '\0' && strchr(any, bytes.data[at - 1]) != NULL)
		at--;
	return at;
}

static size_t json_skip(struct slice bytes, size_t at)
{
	while (at < bytes.size && bytes.data[at] != '\0' &&
		strchr(" \t\r\n", bytes.data[at]) != NULL)
		at++;
	return at;
}

/* The name of the member whose value begins at `at`; absent if it is not in a map. In JSON within a
 * text, backslashes precede the quotes. */
static struct slice json_member(struct slice bytes, size_t at)
{
	size_t end, begin;

	at = json_back(bytes, json_back(bytes, at, "\\"), " \t\r\n");
	if (at == 0 || bytes.data[at - 1] != ':')
		return (struct slice){NULL, 0};
	at = json_back(bytes, at - 1, " \t\r\n");
	if (at == 0 || bytes.data[at - 1] != '"')
		return (struct slice){NULL, 0};
	end = json_back(bytes, at - 1, "\\");
	for (begin = end; begin > 0 && bytes.data[begin - 1] != '"'; begin--)
		;
	return slice_of(bytes.data + begin, end - begin);
}

/* Whether that name occurs before the end, and no list has ended since. */
static bool json_in_sample(struct slice bytes, size_t end)
{
	for (; end > member_sample.size && bytes.data[end - 1] != ']'; end--) {
		if (slice_equal(slice_of(bytes.data + end - member_sample.size, member_sample.size),
			    member_sample))
			return true;
	}
	return false;
}

/* After "[2," at the beginning, or in the first message of a list. */
static bool json_is_frame_id(struct slice bytes, size_t head)
{
	size_t at = json_skip(bytes, 0);

	for (int i = 0; i < 2 && at < head && bytes.data[at] == '['; i++)
		at = json_skip(bytes, at + 1);
	if (at == 0 || at >= head || bytes.data[at] < '2' || bytes.data[at] > '6')
		return false;
	at = json_skip(bytes, at + 1);
	return at < head && bytes.data[at] == ',' && json_skip(bytes, at + 1) == head;
}

/* For the outermost map, which has none before it. */
static bool json_is_message_id(struct slice bytes, size_t head, struct slice member)
{
	size_t at = json_skip(bytes, 0);

	return slice_equal(member, member_id) && at < head && bytes.data[at] == '{' &&
	       memchr(bytes.data + at + 1, '{', head - at - 1) == NULL;
}

static bool json_may_be(struct slice bytes, size_t head, struct slice text, enum token_kind kind)
{
	struct slice member = json_member(bytes, head);

	if (kind == TOKEN_BYTES &&
		(slice_is_absent(member) ? json_is_frame_id(bytes, head)
					 : json_is_message_id(bytes, head, member)))
		return false;
	return slice_is_absent(member) ||
	       token_may_be(member, text, kind == TOKEN_READINGS || json_in_sample(bytes, head));
}

/* ---- msgpack ---- */

/* Whether the text just before is that one, including its head. */
static bool pack_is_after(struct slice bytes, size_t at, struct slice name)
{
	return at > name.size && bytes.data[at - name.size - 1] == MSGPACK_FIXSTR + name.size &&
	       memcmp(bytes.data + at - name.size, name.data, name.size) == 0;
}

static bool pack_in_sample(struct slice bytes, size_t at)
{
	while (at > 0 && !pack_is_after(bytes, at, member_sample))
		at--;
	return at > 0;
}

/* Skips a value; 0 if it contains others, or is invalid. */
static size_t pack_past(struct slice bytes, size_t at)
{
	static const uint8_t sizes[] = {/* from 0xca */ 4, 8, 1, 2, 4, 8, 1, 2, 4, 8};
	uint8_t type = bytes.data[at++];

	if (type < FIXMAP || type >= 0xe0 || type == 0xc0 || type == 0xc2 || type == 0xc3)
		return at;
	if (type >= MSGPACK_FIXSTR && type <= MSGPACK_FIXSTR + MSGPACK_FIXSTR_MAX)
		return at + type - MSGPACK_FIXSTR;
	if (type >= 0xca && type <= 0xd3)
		return at + sizes[type - 0xca];
	if (type == MSGPACK_STR8 && at < bytes.size)
		return at + 1 + bytes.data[at];
	return 0;
}

/* The same as for JSON; a message is an array or a map. */
static bool pack_is_message_id(struct slice bytes, size_t head)
{
	size_t at = 1;

	if (bytes.data[0] > FIXARRAY + 2 && bytes.data[0] <= FIXARRAY + 6)
		return head == 2 && bytes.data[1] >= 2 && bytes.data[1] <= 6;
	if (bytes.data[0] <= FIXMAP || bytes.data[0] >= FIXARRAY ||
		!pack_is_after(bytes, head, member_id))
		return false;
	while (at > 0 && at < head)
		at = pack_past(bytes, at);
	return at == head;
}

static bool pack_may_be(struct slice bytes, size_t head, struct slice text)
{
	bool number = token_is_number(text);

	for (size_t i = 0; i < token_strangers_count; i++) {
		if ((number || !token_strangers[i].number) &&
			pack_is_after(bytes, head, token_strangers[i].name))
			return false;
	}
	return !pack_is_message_id(bytes, head) &&
	       !(number && pack_is_after(bytes, head, member_value) && pack_in_sample(bytes, head));
}

bool token_may_be_at(struct slice bytes, size_t head, struct slice text, enum token_kind kind)
{
	return bytes.data[head] == '"' ? json_may_be(bytes, head, text, kind)
				       : pack_may_be(bytes, head, text);
}
