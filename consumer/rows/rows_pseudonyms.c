#include "rows/rows_private.h"

/*
 * Forgotten tokens in a message that arrives all the same: late, or from an old log. Whatever has
 * them as a text shows the pseudonym, in whichever field; identity stays that of the message as it
 * was sent, so a repeat of what was stored before the token was forgotten is still found.
 */

struct key_list {
	struct slice keys[8];
};

/* Members whose value is a token even where a station writes it as a number. */
static const struct key_list token_keys = {{SLICE("idTag"), SLICE("parentIdTag"), SLICE("idToken"),
	SLICE("groupIdToken"), SLICE("additionalIdToken")}};

/* Members that are never one, whatever they look like: readings of a meter are digits, too. */
static const struct key_list other_keys = {{SLICE("sampledValue"), SLICE("transactionId")}};

static bool key_is_of(struct slice key, const struct key_list *list)
{
	for (const struct slice *k = list->keys; k->size > 0; k++) {
		if (slice_equal(key, *k))
			return true;
	}
	return false;
}

static bool pseudonyms_is_document(struct slice text)
{
	return text.size > 0 && (text.data[0] == '{' || text.data[0] == '[');
}

/* A token, or a document within a text, as DataTransfer has them. */
static bool pseudonyms_of_text(const struct rows_builder *b, struct value *v, struct arena *arena)
{
	struct slice shown = pseudonyms_of(b->pseudonyms, v->text);

	if (slice_is_absent(shown) && pseudonyms_is_document(v->text)) {
		shown = v->text;
		if (!pseudonyms_in_bytes(b->pseudonyms, arena, &shown))
			return false;
		if (shown.data == v->text.data)
			return true;
	}
	return slice_is_absent(shown) || value_disguise(v, shown, arena);
}

static bool pseudonyms_of_value(const struct rows_builder *b, struct value *v, struct arena *arena,
	bool is_token)
{
	if (v->kind == VALUE_STRING || (v->kind == VALUE_NUMBER && is_token))
		return pseudonyms_of_text(b, v, arena);
	if (v->kind != VALUE_ARRAY && v->kind != VALUE_MAP)
		return true;
	for (uint32_t i = 0; v->kind == VALUE_ARRAY && i < v->count; i++) {
		if (!pseudonyms_of_value(b, &v->items[i], arena, false))
			return false;
	}
	for (uint32_t i = 0; v->kind == VALUE_MAP && i < v->count; i++) {
		struct member *m = &v->members[i];

		if (!key_is_of(m->key, &other_keys) &&
			!pseudonyms_of_value(b, &m->value, arena, key_is_of(m->key, &token_keys)))
			return false;
	}
	return true;
}

bool rows_keep_bytes(const struct rows_builder *b, struct message *m, struct arena *arena)
{
	m->kept = m->raw;
	return b->pseudonyms == NULL || pseudonyms_in_bytes(b->pseudonyms, arena, &m->kept);
}

bool rows_use_pseudonyms(struct rows_work *w)
{
	const struct rows_builder *b = w->builder;
	struct message *m = w->message;

	if (b->pseudonyms == NULL || pseudonyms_is_empty(b->pseudonyms))
		return true;
	return (m->payload == NULL || pseudonyms_of_value(b, m->payload, w->arena, false)) &&
	       (m->request == NULL || pseudonyms_of_value(b, m->request, w->arena, false)) &&
	       (!m->text_replaced || rows_keep_bytes(b, m, w->arena));
}
