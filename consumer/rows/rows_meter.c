#include "base/decimal.h"
#include "base/digest.h"
#include "rows/flags.h"
#include "rows/rows_meter_private.h"

/*
 * One OCPP MeterValue -> one row: the values in an array, their meaning in a layout that is stored
 * once. A layout lists what each position states, in the order of enum sample_part:
 *
 *	[["Energy.Active.Import.Register",null,"Sample.Periodic","Outlet","Wh",null,null],...]
 *
 * Its id is the digest of that text. What neither array nor layout can express goes into raw.
 */
enum {
	MULTIPLIER_MAX = 15, /* views ignore larger multipliers */
	UNIT_KILO = 3,
	UNIT_MEGA = 6,
};

static const struct slice no_text = {NULL, 0};

/* The text of a part of the layout, marked as used; absent if it is not stated or not text. */
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

/* Views apply no other multiplier. */
static bool unit_is_applied(int64_t multiplier)
{
	return multiplier >= -MULTIPLIER_MAX && multiplier <= MULTIPLIER_MAX;
}

static void sample_resolve(const struct meter *v, struct value *value, struct numeric *number,
	struct sample *out)
{
	struct slice text;

	*number = (struct numeric){.text = no_text};
	out->number = number;
	out->value = value;
	for (int part = 0; part < SAMPLE_PARTS; part++) {
		const struct schema_path *path = &v->block->sample_parts[part];

		out->parts[part] = path->count == 0 ? NULL : schema_get(path, value, value);
	}
	text = sample_value(out);
	/* Signed data may look like a number without being one. */
	if (slice_is_absent(text) || sample_is_signed(out))
		out->number_kind = DECIMAL_NONE;
	else
		out->number_kind = decimal_parse(text, &number->decimal);
	if (out->number_kind != DECIMAL_NONE)
		number->text = text;
}

/* One object in place of a list is a list of one: the same content as with brackets. */
static bool meter_make_list(struct rows_work *w, struct value *v, bool *changed)
{
	struct value *item;

	if (v == NULL || v->kind != VALUE_MAP)
		return true;
	item = arena_alloc(w->message->scratch, sizeof(*item));
	if (item == NULL)
		return false;
	*item = *v;
	*v = (struct value){.kind = VALUE_ARRAY, .count = 1, .items = item};
	*changed = true;
	return true;
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
			if (!unit_is_applied(multiplier))
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
	/* Listed after the row that needs it; the order of tables decides which is written
	 * first. */
	row->next = NULL;
	out->last->next = row;
	out->last = row;
	return true;
}

/* True if the layout must be stored, or compared with the stored one. */
static bool meter_admit_layout(struct meter *v, struct slice layout)
{
	struct layouts *layouts = v->work->builder->layouts;
	enum layouts_comparison compared = layouts_compare(layouts, v->layout_id, layout);
	enum layouts_admission admitted =
		compared == LAYOUT_OTHER
			? LAYOUT_REFUSED
			: layouts_admit(layouts, v->layout_id, v->work->message->station);

	if (admitted == LAYOUT_REFUSED) {
		v->layout_in_row = true;
		v->has_raw = true;
		rows_set_flag(v->row, FLAG_layout_in_row);
		return false;
	}
	if (compared == LAYOUT_UNSEEN)
		layouts_note_text(layouts, v->layout_id, layout);
	return compared == LAYOUT_UNSEEN || admitted == LAYOUT_NEW;
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
		v->layout_id = 1; /* 0 means that the row has its own */
	if (meter_admit_layout(v, layout))
		return layout_store(v, layout);
	arena_rewind(arena, mark);
	return true;
}

/* ---- units ---- */

/* What a value of a sample is measured in. */
struct sample_unit {
	struct slice unit;  /* absent: not stated */
	int64_t multiplier; /* a power of ten */
	bool has_multiplier;
	bool unclear; /* two different ones, or one that is not understood */
};

static void unit_take(struct sample_unit *u, const struct value *v)
{
	struct slice text = value_text(v);

	if (v == NULL || v->kind == VALUE_NULL)
		return;
	if (slice_is_absent(u->unit))
		u->unit = text;
	u->unclear |= slice_is_absent(text) || !slice_equal(u->unit, text);
}

static void unit_take_multiplier(struct sample_unit *u, const struct value *v)
{
	struct slice text = value_text(v);
	int64_t multiplier;

	if (v == NULL || v->kind == VALUE_NULL)
		return;
	if (slice_is_absent(text) || !decimal_to_int64(text, INT32_MIN, INT32_MAX, &multiplier)) {
		u->unclear = true;
		return;
	}
	u->unclear |= u->has_multiplier && u->multiplier != multiplier;
	if (!u->has_multiplier)
		u->multiplier = multiplier;
	u->has_multiplier = true;
}

/*
 * Stations write the unit where another version of OCPP has it: it counts wherever it is. The
 * layout has only what is in its place, since digests depend on it; the view meter_samples reads
 * the rest from raw, by the same rule (sample_unit(), sample_multiplier(), sample_is_unclear()).
 */
static struct sample_unit sample_unit(const struct sample *sample)
{
	static const struct slice unit = SLICE("unit"), multiplier = SLICE("multiplier"),
				  of_measure = SLICE("unitOfMeasure");
	const struct value *outer = sample->value, *inner = value_get(outer, of_measure);
	bool is_map = inner != NULL && inner->kind == VALUE_MAP;
	struct sample_unit u = {.unit = no_text};

	unit_take(&u, is_map ? value_get(inner, unit) : inner);
	unit_take(&u, value_get(outer, unit));
	unit_take_multiplier(&u, value_get(inner, multiplier));
	unit_take_multiplier(&u, value_get(outer, multiplier));
	return u;
}

/* Flags what is odd about the unit of a sample that has more than its layout says. */
static void meter_check_unit(struct meter *v, const struct sample *sample)
{
	struct sample_unit u = sample_unit(sample);

	if (u.unclear)
		rows_set_flag(v->row, FLAG_unit_unclear);
	if (!unit_is_applied(u.multiplier))
		rows_set_flag(v->row, FLAG_multiplier_out_of_range);
}

/* ---- values ---- */

static void meter_set_sampled(struct meter *v)
{
	struct cell *sampled = &v->row->cells[TABLE_meter_values_sampled];

	sampled->present = true;
	sampled->numerics = v->numbers;
	sampled->numerics_count = v->samples_count;
}

static void meter_values(struct meter *v)
{
	for (uint32_t i = 0; i < v->samples_count; i++) {
		const struct sample *sample = &v->samples[i];

		if (!slice_is_absent(sample_value(sample)))
			value_mark_used(sample->parts[SAMPLE_VALUE]);
		if (sample->number_kind != DECIMAL_PLAIN)
			v->has_raw = true;
		if (sample_is_signed(sample))
			rows_set_flag(v->row, FLAG_signed);
		else if (sample->number_kind == DECIMAL_NONE)
			rows_set_flag(v->row, FLAG_value_not_number);
		if (sample_has_signed(sample)) {
			value_mark_used(sample->parts[SAMPLE_SIGNED]);
			v->has_raw = true;
		}
		if (!value_is_spent(sample->value)) {
			v->has_raw = true;
			meter_check_unit(v, sample);
		}
	}
	meter_set_sampled(v);
}

/* ---- identity ---- */

static void identity_put_number(struct text *t, const struct row *row, int column)
{
	text_put_char(t, '|');
	if (row->cells[column].present)
		text_put_int(t, row->cells[column].number);
}

/* Whether the time came as a timestamp of msgpack. Earlier versions did not keep its text, and the
 * digest of a message never changes. */
static bool meter_has_timestamp(const struct meter *v)
{
	for (size_t i = 0; i < v->block->fields_count; i++) {
		const struct schema_field *f = &v->block->fields[i];
		const struct value *time;

		if (f->column != KEY_TIME)
			continue;
		time = schema_get(&f->path, v->element, v->work->message->payload);
		return time != NULL && time->kind == VALUE_TIME;
	}
	return false;
}

/* Digest of the content, not of its storage: the same whether the layout is known, new or
 * refused. */
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
	if (!meter_has_timestamp(v))
		text_put_slice(&t, cell_text(row, TABLE_meter_values_time_text));
	text_put_char(&t, '|');
	text_put_int(&t, (int64_t)v->layout_id);
	for (uint32_t i = 0; i < v->samples_count; i++) {
		const struct sample *sample = &v->samples[i];

		text_put_char(&t, ',');
		if (sample->number_kind != DECIMAL_NONE)
			value_put_canonical_decimal(&t, &sample->number->decimal);
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
	row_set_digest(v->work, row, content);
	arena_rewind(arena, mark);
	return true;
}

/* ---- readings for the transaction ---- */

/*
 * A sample that does not say what it measures is an energy register, unless it has an unknown
 * member, which may say just that ("mesurand"). The view meter_samples has the same rule
 * (says_no_more()).
 */
static bool sample_is_energy_by_default(const struct sample *sample)
{
	static const struct slice known[] = {SLICE("value"), SLICE("context"), SLICE("format"),
		SLICE("phase"), SLICE("location"), SLICE("signedMeterValue"), SLICE("customData"),
		SLICE("unit"), SLICE("unitOfMeasure"), SLICE("multiplier")};

	for (uint32_t i = 0; i < sample->value->count; i++) {
		const struct member *m = &sample->value->members[i];
		bool is_known = m->value.kind == VALUE_NULL;

		for (size_t k = 0; !is_known && k < sizeof(known) / sizeof(*known); k++)
			is_known = slice_equal(m->key, known[k]);
		if (!is_known)
			return false;
	}
	return true;
}

/* The power of ten that makes it Wh; false if the unit is not one of energy. */
static bool unit_to_wh(const struct sample_unit *u, int64_t *power_out)
{
	*power_out = u->multiplier;
	if (u->unclear || !unit_is_applied(u->multiplier))
		return false;
	if (slice_equal_cstr(u->unit, "kWh"))
		*power_out += UNIT_KILO;
	else if (slice_equal_cstr(u->unit, "MWh"))
		*power_out += UNIT_MEGA;
	else
		return slice_is_absent(u->unit) || slice_equal_cstr(u->unit, "Wh");
	return true;
}

/* The reading of an energy register over all phases in Wh, as text; absent if it is something
 * else. */
static struct slice sample_energy(const struct meter *v, const struct sample *sample)
{
	struct slice measurand = value_text(sample->parts[SAMPLE_MEASURAND]);
	struct sample_unit unit = sample_unit(sample);
	struct slice scaled;
	struct decimal d;
	int64_t shift;
	struct text t;

	if (!(slice_is_absent(measurand)
			    ? sample_is_energy_by_default(sample)
			    : slice_equal_cstr(measurand, "Energy.Active.Import.Register")) ||
		!slice_is_absent(value_text(sample->parts[SAMPLE_PHASE])) ||
		sample->number_kind == DECIMAL_NONE || !unit_to_wh(&unit, &shift))
		return no_text;
	if (shift == 0)
		return sample_value(sample);
	d = sample->number->decimal;
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

/* The place of measurement: 0 = the outlet. */
static int64_t sample_place(const struct sample *sample)
{
	struct slice location = value_text(sample->parts[SAMPLE_LOCATION]);

	if (slice_is_absent(location) || slice_equal_cstr(location, "Outlet"))
		return 0;
	return (int64_t)(digest64(location.data, location.size) & INT64_MAX) | 1;
}

/* Chooses between two readings of one message: the outlet's first, otherwise the only place there
 * is; then a marked one; then the first for a start and the last for an end. */
static void reading_take(struct reading *kept, const struct reading *r, bool first)
{
	bool both_elsewhere =
		kept->kind > 0 && kept->kind < READING_FROM_EVENT && r->kind < READING_FROM_EVENT;

	if (both_elsewhere && (kept->kind == READING_PLACES || kept->place != r->place))
		*kept = (struct reading){.kind = READING_PLACES};
	else if (r->kind > kept->kind ||
		 (r->kind == kept->kind &&
			 (first ? r->time_us < kept->time_us : r->time_us > kept->time_us)))
		*kept = *r;
}

static int32_t reading_kind(int64_t place, bool marked)
{
	if (marked)
		return place == 0 ? READING_MARKED : READING_ELSEWHERE_MARKED;
	return place == 0 ? READING_FROM_EVENT : READING_ELSEWHERE;
}

static void meter_reading(struct meter *v, const struct sample *sample, bool started, bool ended)
{
	struct slice context = value_text(sample->parts[SAMPLE_CONTEXT]);
	struct reading r = {.place = sample_place(sample),
		.time_us = v->row->cells[KEY_TIME].number};
	bool begin = slice_equal_cstr(context, "Transaction.Begin");
	bool end = slice_equal_cstr(context, "Transaction.End");

	if (!(begin || end || started || ended))
		return;
	r.wh = sample_energy(v, sample);
	if (slice_is_absent(r.wh))
		return;
	r.kind = reading_kind(r.place, begin || end);
	if (begin || (started && !end))
		reading_take(&v->work->reading_start, &r, true);
	if (end || (ended && !begin))
		reading_take(&v->work->reading_stop, &r, false);
}

/* Only from an event of the transaction itself: the first and the last reading. */
static void meter_readings(struct meter *v, struct slice event_type)
{
	bool started = slice_equal_cstr(event_type, "Started");
	bool ended = slice_equal_cstr(event_type, "Ended");

	for (uint32_t i = 0; i < v->samples_count; i++)
		meter_reading(v, &v->samples[i], started, ended);
}

/* ---- known sequences of samples ---- */

static bool sample_is_marked(const struct sample *sample)
{
	struct slice context = value_text(sample->parts[SAMPLE_CONTEXT]);

	return slice_equal_cstr(context, "Transaction.Begin") ||
	       slice_equal_cstr(context, "Transaction.End");
}

/* The search key of the samples; false if one of them has no form, or there are too many. */
static bool meter_key(const struct meter *v, struct sequence *out)
{
	if (v->work->builder->sequences == NULL || v->samples_count == 0 ||
		v->samples_count > SEQUENCE_SAMPLES_MAX)
		return false;
	out->block = v->block;
	out->count = v->samples_count;
	for (uint32_t i = 0; i < v->samples_count; i++) {
		out->forms[i] = v->list->items[i].form;
		if (out->forms[i] == 0)
			return false;
	}
	return true;
}

/* Whether a sample may be the first or last reading of the transaction. */
static bool meter_has_readings(const struct row *event, const struct sequence *known)
{
	struct slice type;

	if (event == NULL || known->marked)
		return event != NULL;
	type = cell_text(event, TABLE_transaction_events_event_type);
	return slice_equal_cstr(type, "Started") || slice_equal_cstr(type, "Ended");
}

/* False, without any effect, unless all values are plain numbers and nothing else is needed. */
static bool meter_take_known(struct meter *v, const struct sequence *key, const struct row *event)
{
	const struct rows_builder *b = v->work->builder;
	const struct sequence *known = sequences_find(b->sequences, key);

	if (known == NULL || !layouts_is_known(b->layouts, known->layout_id) ||
		meter_has_readings(event, known))
		return false;
	for (uint32_t i = 0; i < v->samples_count; i++) {
		struct sample *sample = &v->samples[i];

		sample->number = &v->numbers[i];
		sample->number->text = v->list->items[i].members[known->values[i]].value.text;
		sample->number_kind = decimal_parse(sample->number->text, &sample->number->decimal);
		if (sample->number_kind != DECIMAL_PLAIN)
			return false;
	}
	v->layout_id = known->layout_id;
	rows_set_flag(v->row, known->flags);
	meter_set_sampled(v);
	v->known = true;
	return true;
}

/* Which member is the value, the one that differs between maps of a form. */
static bool sample_value_member(const struct sample *sample, uint8_t *out)
{
	for (uint32_t i = 0; i < sample->value->count && i <= UINT8_MAX; i++) {
		const struct member *m = &sample->value->members[i];

		*out = (uint8_t)i;
		if (&m->value == sample->parts[SAMPLE_VALUE])
			return slice_equal_cstr(m->key, "value");
	}
	return false;
}

static void meter_learn(const struct meter *v, struct sequence *learned)
{
	if (v->has_raw)
		return;
	learned->layout_id = v->layout_id;
	learned->flags =
		v->row->cells[TABLE_meter_values_flags].number & FLAG_multiplier_out_of_range;
	learned->marked = false;
	for (uint32_t i = 0; i < v->samples_count; i++) {
		if (!sample_value_member(&v->samples[i], &learned->values[i]))
			return;
		learned->marked |= sample_is_marked(&v->samples[i]);
	}
	sequences_learn(v->work->builder->sequences, learned);
}

/* ---- all of it ---- */

static bool meter_begin(struct rows_work *w, const struct schema_block *block,
	struct value *element, const struct row *event, struct meter *v)
{
	struct sequence sequence;
	bool has_key, changed = false;

	*v = (struct meter){.work = w, .block = block, .element = element};
	v->row = rows_add(w, TABLE_meter_values);
	if (v->row == NULL)
		return false;
	rows_fill(w, v->row, block, element);
	v->list = schema_get(&block->samples, element, w->message->payload);
	if (!meter_make_list(w, v->list, &changed))
		return false;
	if (changed)
		rows_set_flag(v->row, FLAG_shape);
	if (v->list != NULL && v->list->kind != VALUE_ARRAY)
		v->list = NULL;
	v->samples_count = v->list == NULL ? 0 : v->list->count;
	v->samples = arena_alloc(w->message->scratch, v->samples_count * sizeof(*v->samples));
	v->numbers = arena_alloc(w->arena, v->samples_count * sizeof(*v->numbers));
	if (v->samples == NULL || v->numbers == NULL)
		return false;
	has_key = meter_key(v, &sequence);
	if (has_key && meter_take_known(v, &sequence, event))
		return true;
	for (uint32_t i = 0; i < v->samples_count; i++)
		sample_resolve(v, &v->list->items[i], &v->numbers[i], &v->samples[i]);
	if (!meter_layout(v))
		return false;
	meter_values(v);
	if (has_key)
		meter_learn(v, &sequence);
	return true;
}

static bool meter_finish(struct meter *v, const struct value *message_rest)
{
	if (!meter_raw(v, message_rest) || !meter_digest(v, message_rest))
		return false;
	cell_set_number(v->row, TABLE_meter_values_layout_id,
		v->layout_in_row ? 0 : (int64_t)v->layout_id);
	return true;
}

/* Otherwise they contradict their schema, and are kept in extra or as an event. */
static bool meter_are_maps(const struct value *each)
{
	if (each == NULL || each->kind != VALUE_ARRAY || each->count == 0)
		return false;
	for (uint32_t i = 0; i < each->count; i++) {
		if (each->items[i].kind != VALUE_MAP)
			return false;
	}
	return true;
}

bool rows_meter_values(struct rows_work *w, const struct schema_block *block)
{
	struct value *each = schema_get(&block->each, w->message->payload, w->message->payload);
	struct row *event = w->out->first; /* the transaction's event, if the message is one */
	struct meter *all;
	bool changed = false;

	if (!meter_make_list(w, each, &changed))
		return false;
	if (!meter_are_maps(each))
		return true;
	all = arena_alloc(w->message->scratch, each->count * sizeof(*all));
	if (all == NULL)
		return false;
	for (uint32_t i = 0; i < each->count; i++) {
		if (!meter_begin(w, block, &each->items[i], event, &all[i]))
			return false;
		if (changed)
			rows_set_flag(all[i].row, FLAG_shape);
		if (event != NULL && !all[i].known)
			meter_readings(&all[i],
				cell_text(event, TABLE_transaction_events_event_type));
	}
	value_mark_used(each);
	/* The rest of the message goes with its first row. */
	for (uint32_t i = 0; i < each->count; i++) {
		if (!meter_finish(&all[i], event == NULL && i == 0 ? w->message->payload : NULL))
			return false;
	}
	return true;
}
