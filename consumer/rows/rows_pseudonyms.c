#include "base/token_hash.h"
#include "rows/rows_private.h"

/*
 * If there is a key, tokens are stored as hashes. A forgotten token may still arrive in a message,
 * late or from an old log: every text that has it then shows the pseudonym, in any field that can
 * have one (base/token_places.h). The identity stays that of the message as it was sent, so a
 * repeat of something stored before the token was forgotten is still found.
 */

/* Where a value is. */
struct pseudonyms_place {
	struct arena *arena;
	struct slice member; /* that it is the value of, or is in a list of; "" = none */
	bool hash;           /* hashes take the place of tokens */
};

static bool pseudonyms_is_document(struct slice text)
{
	return text.size > 0 && (text.data[0] == '{' || text.data[0] == '[');
}

/* A token is stored as its hash, and its identity is computed from the hash, so that it does not
 * reveal the token. Also handles a document within a text, as in DataTransfer. */
static bool pseudonyms_hash_text(const struct rows_builder *b, struct value *v, struct arena *arena,
	bool is_token)
{
	struct slice hash;

	if (is_token) {
		hash = pseudonyms_hashed(b->pseudonyms, v->text);
		if (hash.data != v->text.data)
			v->text = arena_copy(arena, hash);
		v->kind = VALUE_STRING;
		return !slice_is_absent(v->text);
	}
	return !pseudonyms_is_document(v->text) ||
	       pseudonyms_hash_bytes(b->pseudonyms, arena, &v->text);
}

/* Hides a forgotten token, or a document that contains one. */
static bool pseudonyms_hide_text(const struct rows_builder *b, struct value *v,
	const struct pseudonyms_place *at)
{
	struct slice shown = pseudonyms_of(b->pseudonyms, v->text);

	if (!slice_is_absent(shown))
		return !token_may_be(at->member, v->text, false) ||
		       value_disguise(v, shown, at->arena);
	if (!pseudonyms_is_document(v->text))
		return true;
	shown = v->text;
	return pseudonyms_in_bytes(b->pseudonyms, TOKEN_WORDS, at->arena, &shown) &&
	       (shown.data == v->text.data || value_disguise(v, shown, at->arena));
}

/* Left as they are: no version has a token there, and a meter value's identity is made of what is
 * stored of them. */
static bool pseudonyms_leaves_out(struct slice member)
{
	return slice_equal_cstr(member, "sampledValue") ||
	       slice_equal_cstr(member, "transactionId");
}

static bool pseudonyms_of_value(const struct rows_builder *b, struct value *v,
	const struct pseudonyms_place *at)
{
	bool is_token = token_is_key(at->member);

	/* Some stations write a token as a number. */
	if (v->kind == VALUE_STRING || (v->kind == VALUE_NUMBER && is_token))
		return (!at->hash || pseudonyms_hash_text(b, v, at->arena, is_token)) &&
		       pseudonyms_hide_text(b, v, at);
	if (v->kind != VALUE_ARRAY && v->kind != VALUE_MAP)
		return true;
	for (uint32_t i = 0; v->kind == VALUE_ARRAY && i < v->count; i++) {
		if (!pseudonyms_of_value(b, &v->items[i], at))
			return false;
	}
	for (uint32_t i = 0; v->kind == VALUE_MAP && i < v->count; i++) {
		struct member *m = &v->members[i];
		struct pseudonyms_place place = *at;

		place.member = m->key;
		if (!pseudonyms_leaves_out(m->key) && !pseudonyms_of_value(b, &m->value, &place))
			return false;
	}
	return true;
}

/* A CSMS reads back what it stores, and queries it by tokens: so those are not hashed. */
static bool pseudonyms_hashes(const struct rows_builder *b, const struct message *m)
{
	return pseudonyms_has_key(b->pseudonyms) && slice_is_absent(m->entity);
}

bool rows_keep_bytes(const struct rows_builder *b, struct message *m, struct arena *arena)
{
	if (b->pseudonyms == NULL || pseudonyms_is_empty(b->pseudonyms))
		return true;
	if (pseudonyms_hashes(b, m) && !pseudonyms_hash_bytes(b->pseudonyms, arena, &m->raw))
		return false;
	m->kept = m->raw;
	return pseudonyms_in_bytes(b->pseudonyms, TOKEN_BYTES, arena, &m->kept);
}

bool rows_use_pseudonyms(struct rows_work *w)
{
	const struct rows_builder *b = w->builder;
	struct message *m = w->message;
	struct pseudonyms_place top = {.arena = w->arena, .member = SLICE("")};

	if (b->pseudonyms == NULL || pseudonyms_is_empty(b->pseudonyms))
		return true;
	top.hash = pseudonyms_hashes(b, m);
	return (m->payload == NULL || pseudonyms_of_value(b, m->payload, &top)) &&
	       (m->request == NULL || pseudonyms_of_value(b, m->request, &top)) &&
	       (!m->text_replaced || rows_keep_bytes(b, m, w->arena));
}
