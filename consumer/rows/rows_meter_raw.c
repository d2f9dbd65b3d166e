#include "rows/rows_meter_private.h"

/* A member {"<name>":{...}} that is opened when its first inner member is written. */
struct raw_section {
	struct text *t;
	const char *name;
	bool *any; /* the whole object has members: a comma is due */
	bool open;
};

/* The key of position i, counted from 1 as in PostgreSQL. */
static void raw_key(struct raw_section *s, uint32_t i)
{
	if (!s->open) {
		text_put_cstr(s->t, *s->any ? ",\"" : "\"");
		text_put_cstr(s->t, s->name);
		text_put_cstr(s->t, "\":{");
		*s->any = true;
	} else {
		text_put_char(s->t, ',');
	}
	s->open = true;
	text_put_char(s->t, '"');
	text_put_int(s->t, (int64_t)i + 1);
	text_put_cstr(s->t, "\":");
}

static void raw_end(struct raw_section *s)
{
	if (s->open)
		text_put_char(s->t, '}');
}

static void raw_put_texts(const struct meter *v, struct text *t, bool *any)
{
	struct raw_section s = {t, "text", any, false};

	for (uint32_t i = 0; i < v->samples_count; i++) {
		struct slice text = sample_value(&v->samples[i]);

		if (v->samples[i].number_kind == DECIMAL_PLAIN || slice_is_absent(text))
			continue;
		raw_key(&s, i);
		text_put_json_string(t, text);
	}
	raw_end(&s);
}

static void raw_put_signed(const struct meter *v, struct text *t, bool *any)
{
	struct raw_section s = {t, "signed", any, false};

	for (uint32_t i = 0; i < v->samples_count; i++) {
		if (!sample_has_signed(&v->samples[i]))
			continue;
		raw_key(&s, i);
		value_put_json(t, v->samples[i].parts[SAMPLE_SIGNED]);
	}
	raw_end(&s);
}

static void raw_put_samples(const struct meter *v, struct text *t, bool *any)
{
	struct raw_section s = {t, "sample", any, false};

	for (uint32_t i = 0; i < v->samples_count; i++) {
		if (value_is_spent(v->samples[i].value))
			continue;
		raw_key(&s, i);
		value_put_json_unused(t, v->samples[i].value);
	}
	raw_end(&s);
}

static void raw_put_rest(struct text *t, bool *any, const char *name, const struct value *rest)
{
	if (rest == NULL || value_is_spent(rest))
		return;
	text_put_cstr(t, *any ? ",\"" : "\"");
	*any = true;
	text_put_cstr(t, name);
	text_put_cstr(t, "\":");
	value_put_json_unused(t, rest);
}

bool meter_raw(struct meter *v, const struct value *message_rest)
{
	struct value *samples = v->list;
	bool any = false;
	struct slice raw;
	struct text t;

	if (samples != NULL)
		samples->used = true; /* each sample has been handled */
	if (!v->has_raw && value_is_spent(v->element) &&
		(message_rest == NULL || value_is_spent(message_rest)))
		return true;
	text_begin(&t, v->work->arena);
	text_put_char(&t, '{');
	if (samples != NULL && v->layout_in_row) {
		text_put_cstr(&t, "\"samples\":");
		value_put_json(&t, samples);
		any = true;
	}
	if (samples != NULL && v->has_raw) {
		raw_put_texts(v, &t, &any);
		raw_put_signed(v, &t, &any);
		raw_put_samples(v, &t, &any);
	}
	raw_put_rest(&t, &any, "meter_value", v->element);
	raw_put_rest(&t, &any, "message", message_rest);
	text_put_char(&t, '}');
	raw = text_end(&t);
	if (!slice_is_absent(raw) && raw.size > 2)
		cell_set_text(v->row, TABLE_meter_values_raw, raw);
	return !slice_is_absent(raw);
}
