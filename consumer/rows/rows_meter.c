#include "base/decimal.h"
#include "base/digest.h"
#include "rows/flags.h"
#include "rows/rows_private.h"

/*
 * One OCPP MeterValue -> one row: the values in an array, what they measure in a layout that is
 * stored once. A layout is the list of what its positions state, in the order of enum sample_part:
 *
 *	[["Energy.Active.Import.Register",null,"Sample.Periodic","Outlet","Wh",null,null],...]
 *
 * Its id is the digest of that text. What neither array nor layout can say goes into raw.
 */
enum {
	MULTIPLIER_MAX = 15, /* beyond it views do not apply a multiplier */
	UNIT_KILO = 3,
};

static const struct slice no_text = {NULL, 0};

/* A position of a MeterValue, looked up once. */
struct sample {
	struct value *value;
	struct value *parts[SAMPLE_PARTS]; /* NULL = not stated */
	enum decimal_form form;            /* of the text of SAMPLE_VALUE; NONE also if signed */
	struct decimal decimal;            /* unless NONE */
};

/* A MeterValue at hand. */
struct meter {
	struct rows_work *work;
	const struct schema_block *block;
	struct value *element;
	struct sample *samples;
	uint32_t samples_count;
	struct value *list; /* of the samples, or NULL */
	struct row *row;
	struct slice *texts; /* of sampled */
	bool has_raw;
	uint64_t layout_id;
	bool layout_in_row;
};

/* The text of a part of the layout, taken; absent if it is not stated or is no text. */
static struct slice sample_text(const struct sample *sample, enum sample_part part)
{
	struct value *p = sample->parts[part];
	struct slice text = value_text(p);

	if (!slice_is_absent(text))
		value_mark_used(p);
	return text;
}

static bool sample_multiplier(const struct sample *sample, int64_t *out)
{
	struct value *p = sample->parts[SAMPLE_MULTIPLIER];
	struct slice text = value_text(p);

	if (slice_is_absent(text) || !decimal_to_int64(text, INT32_MIN, INT32_MAX, out))
		return false;
	value_mark_used(p);
	return true;
}

/* The text of the value itself, number or not. */
static struct slice sample_value(const struct sample *sample)
{
	return value_text(sample->parts[SAMPLE_VALUE]);
}

static bool sample_has_signed(const struct sample *sample)
{
	const struct value *is_signed = sample->parts[SAMPLE_SIGNED];

	return is_signed != NULL && is_signed->kind != VALUE_NULL;
}

static void sample_resolve(const struct meter *v, struct value *value, struct sample *out)
{
	struct slice text;

	out->value = value;
	for (int part = 0; part < SAMPLE_PARTS; part++) {
		const struct schema_path *path = &v->block->sample_parts[part];

		out->parts[part] = path->count == 0 ? NULL : schema_get(path, value, value);
	}
	text = sample_value(out);
	/* Signed data may look like a number; it is none. */
	if (slice_is_absent(text) ||
		slice_equal_cstr(value_text(out->parts[SAMPLE_FORMAT]), "SignedData"))
		out->form = DECIMAL_NONE;
	else
		out->form = decimal_parse(text, &out->decimal);
}

/* ---- layout ---- */

static void layout_put_sample(struct meter *v, struct text *t, const struct sample *sample)
{
	int64_t multiplier;

	text_put_char(t, '[');
	for (int part = 0; part < SAMPLE_LAYOUT_PARTS; part++) {
		struct slice text;

		if (part > 0)
			text_put_char(t, ',');
		if (part == SAMPLE_MULTIPLIER) {
			if (!sample_multiplier(sample, &multiplier)) {
				text_put_cstr(t, "null");
				continue;
			}
			text_put_int(t, multiplier);
			if (multiplier > MULTIPLIER_MAX || multiplier < -MULTIPLIER_MAX)
				rows_set_flag(v->row, FLAG_multiplier_out_of_range);
			continue;
		}
		text = sample_text(sample, (enum sample_part)part);
		if (slice_is_absent(text))
			text_put_cstr(t, "null");
		else
			text_put_json_string(t, text);
	}
	text_put_char(t, ']');
}

static bool layout_store(struct meter *v, struct slice layout)
{
	struct rows_result *out = v->work->out;
	struct row *row = row_new(v->work->arena, TABLE_meter_value_layouts);

	if (row == NULL)
		return false;
	cell_set_number(row, TABLE_meter_value_layouts_layout_id, (int64_t)v->layout_id);
	cell_set_text(row, TABLE_meter_value_layouts_layout, layout);
	cell_set_text(row, TABLE_meter_value_layouts_first_charge_station_id,
		v->work->message->station);
	/* Behind the row that needs it; tables are written in their own order. */
	row->next = NULL;
	out->last->next = row;
	out->last = row;
	return true;
}

static bool meter_layout(struct meter *v)
{
	struct arena *arena = v->work->arena;
	struct arena_mark mark = arena_mark(arena);
	struct slice layout;
	struct text t;

	text_begin(&t, arena);
	text_put_char(&t, '[');
	for (uint32_t i = 0; i < v->samples_count; i++) {
		if (i > 0)
			text_put_char(&t, ',');
		layout_put_sample(v, &t, &v->samples[i]);
	}
	text_put_char(&t, ']');
	layout = text_end(&t);
	if (slice_is_absent(layout))
		return false;
	v->layout_id = digest64(layout.data, layout.size);
	if (v->layout_id == 0)
		v->layout_id = 1; /* 0 says that the row has its own */
	switch (layouts_admit(v->work->builder->layouts, v->layout_id, v->work->message->station)) {
	case LAYOUT_KNOWN:
		break;
	case LAYOUT_NEW:
		return layout_store(v, layout);
	case LAYOUT_REFUSED:
		v->layout_in_row = true;
		v->has_raw = true;
		rows_set_flag(v->row, FLAG_layout_in_row);
		break;
	}
	arena_rewind(arena, mark);
	return true;
}

/* ---- values ---- */

static bool meter_values(struct meter *v)
{
	struct cell *sampled = &v->row->cells[TABLE_meter_values_sampled];

	v->texts = arena_alloc(v->work->arena, v->samples_count * sizeof(*v->texts));
	if (v->texts == NULL)
		return false;
	for (uint32_t i = 0; i < v->samples_count; i++) {
		const struct sample *sample = &v->samples[i];

		v->texts[i] = sample_value(sample);
		if (!slice_is_absent(v->texts[i]))
			value_mark_used(sample->parts[SAMPLE_VALUE]);
		if (sample->form != DECIMAL_PLAIN)
			v->has_raw = true;
		if (sample->form == DECIMAL_NONE) {
			v->texts[i] = no_text;
			rows_set_flag(v->row, FLAG_value_not_number);
		}
		if (sample_has_signed(sample)) {
			value_mark_used(sample->parts[SAMPLE_SIGNED]);
			v->has_raw = true;
		}
		if (!value_is_spent(sample->value))
			v->has_raw = true;
	}
	sampled->present = true;
	sampled->texts = v->texts;
	sampled->texts_count = v->samples_count;
	return true;
}

/* ---- raw ---- */

/* A member {"<name>":{...}} whose inner members are put on demand. */
struct raw_section {
	struct text *t;
	const char *name;
	bool *any; /* of the whole object: a comma is due */
	bool open;
};

/* The key of position i, from 1 as PostgreSQL counts. */
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

		if (v->samples[i].form == DECIMAL_PLAIN || slice_is_absent(text))
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

/* message_rest: what is left of the whole message, or NULL where another row keeps it. */
static bool meter_raw(struct meter *v, const struct value *message_rest)
{
	struct value *samples = v->list;
	bool any = false;
	struct slice raw;
	struct text t;

	if (samples != NULL)
		samples->used = true; /* each sample has been dealt with for itself */
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

/* ---- identity ---- */

static void identity_put_number(struct text *t, const struct row *row, int column)
{
	text_put_char(t, '|');
	if (row->cells[column].present)
		text_put_int(t, row->cells[column].number);
}

/*
 * Of the content, not of how it is stored: the same whether the layout is known, new or refused.
 */
static bool meter_digest(struct meter *v, const struct value *message_rest)
{
	struct arena *arena = v->work->arena;
	struct arena_mark mark = arena_mark(arena);
	struct row *row = v->row;
	struct slice content;
	struct text t;

	text_begin(&t, arena);
	text_put_cstr(&t, "meter_values");
	identity_put_number(&t, row, TABLE_meter_values_source);
	identity_put_number(&t, row, TABLE_meter_values_connector_id);
	identity_put_number(&t, row, TABLE_meter_values_seq_no);
	text_put_char(&t, '|');
	text_put_slice(&t, cell_text(row, TABLE_meter_values_transaction_id));
	text_put_char(&t, '|');
	text_put_slice(&t, cell_text(row, TABLE_meter_values_time_text));
	text_put_char(&t, '|');
	text_put_int(&t, (int64_t)v->layout_id);
	for (uint32_t i = 0; i < v->samples_count; i++) {
		const struct sample *sample = &v->samples[i];

		text_put_char(&t, ',');
		if (sample->form != DECIMAL_NONE)
			value_put_canonical_decimal(&t, &sample->decimal);
		else if (!slice_is_absent(sample_value(sample)))
			text_put_json_string(&t, sample_value(sample));
		if (v->has_raw && sample->parts[SAMPLE_SIGNED] != NULL)
			value_put_canonical(&t, sample->parts[SAMPLE_SIGNED]);
		if (v->has_raw && !value_is_spent(sample->value))
			value_put_canonical_unused(&t, sample->value);
	}
	text_put_char(&t, '|');
	if (!value_is_spent(v->element))
		value_put_canonical_unused(&t, v->element);
	text_put_char(&t, '|');
	if (message_rest != NULL && !value_is_spent(message_rest))
		value_put_canonical_unused(&t, message_rest);
	if (row_is_timeless(row)) {
		text_put_char(&t, '|');
		text_put_json_string(&t, v->work->message->id);
		text_put_slice(&t, v->work->message->trace);
	}
	content = text_end(&t);
	if (slice_is_absent(content))
		return false;
	cell_set_number(row, KEY_DIGEST, (int64_t)digest64(content.data, content.size));
	arena_rewind(arena, mark);
	return true;
}

/* ---- readings for the transaction ---- */

/* The value of an energy register of all phases at the outlet in Wh, as text; absent if it is
 * something else. */
static struct slice sample_energy(const struct meter *v, const struct sample *sample)
{
	struct slice measurand = value_text(sample->parts[SAMPLE_MEASURAND]);
	struct slice location = value_text(sample->parts[SAMPLE_LOCATION]);
	struct slice unit = value_text(sample->parts[SAMPLE_UNIT]), scaled;
	struct decimal d;
	int64_t shift = 0, kilo;
	struct text t;

	if (!(slice_is_absent(measurand) ||
		    slice_equal_cstr(measurand, "Energy.Active.Import.Register")) ||
		!(slice_is_absent(location) || slice_equal_cstr(location, "Outlet")) ||
		!slice_is_absent(value_text(sample->parts[SAMPLE_PHASE])) ||
		sample->form == DECIMAL_NONE)
		return no_text;
	if (slice_is_absent(unit) || slice_equal_cstr(unit, "Wh"))
		kilo = 0;
	else if (slice_equal_cstr(unit, "kWh"))
		kilo = UNIT_KILO;
	else
		return no_text;
	(void)sample_multiplier(sample, &shift);
	if (shift > MULTIPLIER_MAX || shift < -MULTIPLIER_MAX)
		return no_text;
	shift += kilo;
	if (shift == 0)
		return sample_value(sample);
	d = sample->decimal;
	text_begin(&t, v->work->arena);
	if (d.negative)
		text_put_char(&t, '-');
	text_put(&t, d.digits, d.digits_size);
	text_put_char(&t, 'e');
	text_put_int(&t, d.exponent + shift);
	scaled = text_end(&t);
	return slice_is_absent(scaled) || decimal_parse(scaled, &d) == DECIMAL_NONE ? no_text
										    : scaled;
}

/* Only what an event of the transaction itself brings: the first and the last reading. */
static void meter_readings(struct meter *v, struct slice event_type)
{
	struct rows_work *w = v->work;
	int64_t time_us = v->row->cells[KEY_TIME].number;
	bool started = slice_equal_cstr(event_type, "Started");
	bool ended = slice_equal_cstr(event_type, "Ended");

	for (uint32_t i = 0; i < v->samples_count; i++) {
		const struct sample *sample = &v->samples[i];
		struct slice context = value_text(sample->parts[SAMPLE_CONTEXT]), wh;
		bool begin = slice_equal_cstr(context, "Transaction.Begin");
		bool end = slice_equal_cstr(context, "Transaction.End");
		int32_t start_kind = begin ? READING_MARKED : started ? READING_FROM_EVENT : 0;
		int32_t stop_kind = end ? READING_MARKED : ended ? READING_FROM_EVENT : 0;

		if (begin)
			stop_kind = 0;
		if (end)
			start_kind = 0;
		if (start_kind == 0 && stop_kind == 0)
			continue;
		wh = sample_energy(v, sample);
		if (slice_is_absent(wh))
			continue;
		if (start_kind > w->reading_start_kind ||
			(start_kind > 0 && start_kind == w->reading_start_kind &&
				time_us < w->reading_start_us)) {
			w->reading_start = wh;
			w->reading_start_kind = start_kind;
			w->reading_start_us = time_us;
		}
		if (stop_kind > w->reading_stop_kind ||
			(stop_kind > 0 && stop_kind == w->reading_stop_kind &&
				time_us > w->reading_stop_us)) {
			w->reading_stop = wh;
			w->reading_stop_kind = stop_kind;
			w->reading_stop_us = time_us;
		}
	}
}

/* ---- all of it ---- */

static bool meter_begin(struct rows_work *w, const struct schema_block *block,
	struct value *element, struct meter *v)
{
	*v = (struct meter){.work = w, .block = block, .element = element};
	v->row = rows_add(w, TABLE_meter_values);
	if (v->row == NULL)
		return false;
	rows_fill(w, v->row, block, element);
	v->list = schema_get(&block->samples, element, w->message->payload);
	if (v->list != NULL && v->list->kind != VALUE_ARRAY)
		v->list = NULL;
	v->samples_count = v->list == NULL ? 0 : v->list->count;
	v->samples = arena_alloc(w->arena, v->samples_count * sizeof(*v->samples));
	if (v->samples == NULL)
		return false;
	for (uint32_t i = 0; i < v->samples_count; i++)
		sample_resolve(v, &v->list->items[i], &v->samples[i]);
	return meter_layout(v) && meter_values(v);
}

static bool meter_finish(struct meter *v, const struct value *message_rest)
{
	if (!meter_raw(v, message_rest) || !meter_digest(v, message_rest))
		return false;
	cell_set_number(v->row, TABLE_meter_values_layout_id,
		v->layout_in_row ? 0 : (int64_t)v->layout_id);
	return true;
}

bool rows_meter_values(struct rows_work *w, const struct schema_block *block)
{
	struct value *each = schema_get(&block->each, w->message->payload, w->message->payload);
	struct row *event = w->out->first; /* of the transaction, if the message has one */
	struct meter *all;

	if (each == NULL || each->kind != VALUE_ARRAY || each->count == 0)
		return true;
	for (uint32_t i = 0; i < each->count; i++) {
		if (each->items[i].kind != VALUE_MAP)
			return true; /* not as described: kept as it is, in extra or as an event */
	}
	all = arena_alloc(w->arena, each->count * sizeof(*all));
	if (all == NULL)
		return false;
	for (uint32_t i = 0; i < each->count; i++) {
		if (!meter_begin(w, block, &each->items[i], &all[i]))
			return false;
		if (event != NULL)
			meter_readings(&all[i],
				cell_text(event, TABLE_transaction_events_event_type));
	}
	value_mark_used(each);
	/* What is left of the message goes with its first row. */
	for (uint32_t i = 0; i < each->count; i++) {
		if (!meter_finish(&all[i], event == NULL && i == 0 ? w->message->payload : NULL))
			return false;
	}
	return true;
}
