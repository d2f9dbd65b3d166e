#include "copy/partitions.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/iso8601.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PARTITIONS_SLOTS = 1 << 16, /* 90 years of days in one table are 33,000 */
	PARTITIONS_MAX = PARTITIONS_SLOTS / 2,
	PARTITIONS_BACK_DAYS = 400,
	PARTITIONS_AHEAD_DAYS = 2,
	PARTITIONS_PROMISED_MAX = 2048,
};

/* Who works at the table that will be a partition. */
enum holder { HOLDER_NONE, HOLDER_WRITER, HOLDER_ATTACHER };

/* For each state, as bits: itself and the states that may follow. */
#define AFTER(state) (1U << PARTITION_##state)
static const struct {
	enum holder holder;
	unsigned next;
} machine[PARTITION_STATES] = {
	[PARTITION_UNKNOWN] = {HOLDER_NONE,
		AFTER(ADMITTED) | AFTER(LOADING) | AFTER(THERE) | AFTER(DETACHED)},
	[PARTITION_ADMITTED] = {HOLDER_NONE,
		AFTER(UNKNOWN) | AFTER(LOADING) | AFTER(THERE) | AFTER(DETACHED)},
	[PARTITION_LOADING] = {HOLDER_WRITER, AFTER(ENDING) | AFTER(ADMITTED)},
	[PARTITION_ENDING] = {HOLDER_WRITER, AFTER(ADMITTED) | AFTER(ATTACHING) | AFTER(MOVING) |
						     AFTER(THERE) | AFTER(DETACHED)},
	[PARTITION_ATTACHING] = {HOLDER_ATTACHER,
		AFTER(ADMITTED) | AFTER(LOADING) | AFTER(MOVING) | AFTER(THERE) | AFTER(DETACHED)},
	[PARTITION_MOVING] = {HOLDER_ATTACHER, AFTER(ATTACHING) | AFTER(THERE)},
	[PARTITION_THERE] = {HOLDER_NONE, AFTER(UNKNOWN) | AFTER(LOADING) | AFTER(DETACHED)},
	[PARTITION_DETACHED] = {HOLDER_NONE, AFTER(UNKNOWN) | AFTER(LOADING) | AFTER(THERE)},
};

/* A table that will be a partition, or whose rows are moved into one. */
struct held_table {
	struct partition partition;
	uint32_t idle_batches; /* stored since it got a row */
	bool used;             /* by the current batch */
};

struct partitions {
	struct partition slots[PARTITIONS_SLOTS];
	uint8_t states[PARTITIONS_SLOTS]; /* enum partition_state */
	bool renamed[PARTITIONS_SLOTS];   /* if THERE or MOVING */
	size_t count;
	uint32_t outside[TABLE_COUNT];
	uint32_t outside_max;

	/* All whose state has a holder; those of one holder in the order in which they came. */
	struct held_table held[PARTITIONS_LOADING_MAX + PARTITIONS_ATTACHING_MAX];
	size_t held_count;
};

bool partitions_new(struct partitions **out, uint32_t outside_max, struct error *err)
{
	struct partitions *ps = calloc(1, sizeof(*ps));

	if (ps == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	ps->outside_max = outside_max;
	*out = ps;
	return true;
}

void partitions_set_outside_max(struct partitions *ps, uint32_t outside_max)
{
	ps->outside_max = outside_max;
}

void partitions_free(struct partitions **p)
{
	free(*p);
	*p = NULL;
}

static int64_t partition_day(int64_t time_us)
{
	return time_us / US_PER_DAY - (time_us % US_PER_DAY < 0);
}

static int32_t partition_month(int64_t day)
{
	int64_t year;
	int month, day_of_month;

	iso8601_date(day, &year, &month, &day_of_month);
	return (int32_t)((year - 1970) * 12 + month - 1);
}

struct partition partition_of(enum table_id table, int64_t time_us)
{
	struct partition p = {table, PARTITION_UNDATED};

	if (time_us == TIME_UNDATED)
		return p;
	p.number = (int32_t)partition_day(time_us);
	if (tables[table].step == STEP_MONTH)
		p.number = partition_month(p.number);
	return p;
}

int64_t partition_time(struct partition p)
{
	if (p.number == PARTITION_UNDATED)
		return TIME_UNDATED;
	if (tables[p.table].step == STEP_MONTH)
		return iso8601_days(1970 + p.number / 12, 1 + p.number % 12, 1) * US_PER_DAY;
	return p.number * US_PER_DAY;
}

void partition_name(struct partition p, char out[static PARTITION_NAME_BYTES])
{
	const char *table = tables[p.table].name;
	int64_t year;
	int month, day;

	if (p.number == PARTITION_UNDATED) {
		snprintf(out, PARTITION_NAME_BYTES, "%s_undated", table);
		return;
	}
	iso8601_date(partition_day(partition_time(p)), &year, &month, &day);
	if (tables[p.table].step == STEP_MONTH)
		snprintf(out, PARTITION_NAME_BYTES, "%s_%04d_%02d", table, (int)year, month);
	else
		snprintf(out, PARTITION_NAME_BYTES, "%s_%04d_%02d_%02d", table, (int)year, month,
			day);
}

void partition_loading_name(struct partition p, char out[static PARTITION_NAME_BYTES])
{
	partition_name(p, out);
	memcpy(out + strlen(out), "_loading", sizeof("_loading"));
}

bool partition_name_parse(const char *name, struct partition *out)
{
	for (int id = 0; id < TABLE_COUNT; id++) {
		size_t size = strlen(tables[id].name);
		char written[PARTITION_NAME_BYTES];
		int year, month, day = 1, used = 0;
		bool monthly = tables[id].step == STEP_MONTH;

		if (tables[id].step == STEP_NONE || strncmp(name, tables[id].name, size) != 0)
			continue;
		if (strcmp(name + size, "_undated") == 0) {
			*out = (struct partition){(enum table_id)id, PARTITION_UNDATED};
			return true;
		}
		if (monthly)
			(void)sscanf(name + size, "_%4d_%2d%n", &year, &month, &used);
		else
			(void)sscanf(name + size, "_%4d_%2d_%2d%n", &year, &month, &day, &used);
		if (used == 0 || name[size + (size_t)used] != '\0' || month < 1 || month > 12)
			continue;
		*out = partition_of((enum table_id)id, iso8601_days(year, month, day) * US_PER_DAY);
		partition_name(*out, written); /* February has no 31st */
		if (strcmp(written, name) == 0)
			return true;
	}
	return false;
}

static size_t partition_slot(const struct partitions *ps, struct partition p)
{
	uint32_t hash = ((uint32_t)p.number * 31 + (uint32_t)p.table) * UINT32_C(2654435761);
	size_t slot = hash >> 16;

	while (ps->states[slot] != PARTITION_UNKNOWN && !partition_is_same(ps->slots[slot], p))
		slot = (slot + 1) & (PARTITIONS_SLOTS - 1);
	return slot;
}

static bool partition_is_outside(struct partition p)
{
	int64_t time_us = partition_time(p), now_us = clock_wall_us();

	return p.number != PARTITION_UNDATED &&
	       (time_us < now_us - (PARTITIONS_BACK_DAYS + 31) * US_PER_DAY ||
		       time_us > now_us + PARTITIONS_AHEAD_DAYS * US_PER_DAY);
}

enum partition_state partitions_state(const struct partitions *ps, struct partition p)
{
	return (enum partition_state)ps->states[partition_slot(ps, p)];
}

bool partition_may_follow(enum partition_state from, enum partition_state to)
{
	return (machine[from].next & (1U << to)) != 0;
}

bool partitions_has(const struct partitions *ps, struct partition p)
{
	enum partition_state state = partitions_state(ps, p);

	return state == PARTITION_THERE || state == PARTITION_MOVING;
}

bool partitions_is_renamed(const struct partitions *ps, struct partition p)
{
	return partitions_has(ps, p) && ps->renamed[partition_slot(ps, p)];
}

bool partitions_is_detached(const struct partitions *ps, struct partition p)
{
	return partitions_state(ps, p) == PARTITION_DETACHED;
}

bool partitions_is_loading(const struct partitions *ps, struct partition p)
{
	return partitions_state(ps, p) == PARTITION_LOADING;
}

static enum holder partitions_holder(const struct partitions *ps, struct partition p)
{
	return machine[partitions_state(ps, p)].holder;
}

static size_t partitions_count_held(const struct partitions *ps, enum holder holder)
{
	size_t count = 0;

	for (size_t i = 0; i < ps->held_count; i++)
		count += partitions_holder(ps, ps->held[i].partition) == holder;
	return count;
}

/* ---- from one state to another ---- */

static void partitions_put(struct partitions *ps, struct partition p, enum partition_state state)
{
	size_t slot = partition_slot(ps, p);

	if (ps->states[slot] == PARTITION_UNKNOWN) {
		ps->slots[slot] = p;
		ps->renamed[slot] = false;
		ps->count++;
		ps->outside[p.table] += partition_is_outside(p);
	}
	ps->states[slot] = (uint8_t)state;
}

/* What is left of it when everything else is forgotten. */
static enum partition_state partition_forgotten(enum partition_state state, bool session_over)
{
	switch (machine[state].holder) {
	case HOLDER_WRITER:
		return session_over ? PARTITION_ADMITTED : state;
	case HOLDER_ATTACHER:
		return PARTITION_ATTACHING; /* it has a session of its own */
	case HOLDER_NONE:
		break;
	}
	return state == PARTITION_ADMITTED ? state : PARTITION_UNKNOWN;
}

static void partitions_rebuild(struct partitions *ps, bool session_over)
{
	struct partition kept[PARTITIONS_PROMISED_MAX];
	uint8_t states[PARTITIONS_PROMISED_MAX];
	size_t count = 0, held = 0;

	for (size_t i = 0; i < ps->held_count; i++) {
		enum partition_state from = partitions_state(ps, ps->held[i].partition);
		enum partition_state to = partition_forgotten(from, session_over);

		CHECK(to == from || partition_may_follow(from, to));
		kept[count] = ps->held[i].partition;
		states[count++] = (uint8_t)to;
		if (machine[to].holder != HOLDER_NONE)
			ps->held[held++] = ps->held[i];
	}
	for (size_t i = 0; i < PARTITIONS_SLOTS && count < PARTITIONS_PROMISED_MAX; i++) {
		if (ps->states[i] != PARTITION_ADMITTED)
			continue;
		kept[count] = ps->slots[i];
		states[count++] = PARTITION_ADMITTED;
	}
	ps->held_count = held;
	memset(ps->states, PARTITION_UNKNOWN, sizeof(ps->states));
	memset(ps->outside, 0, sizeof(ps->outside));
	ps->count = 0;
	for (size_t i = 0; i < count; i++)
		partitions_put(ps, kept[i], (enum partition_state)states[i]);
}

void partitions_forget(struct partitions *ps)
{
	partitions_rebuild(ps, true);
}

void partitions_doubt(struct partitions *ps)
{
	partitions_rebuild(ps, false);
}

static struct held_table *partitions_find_held(struct partitions *ps, struct partition p)
{
	for (size_t i = 0; i < ps->held_count; i++) {
		if (partition_is_same(ps->held[i].partition, p))
			return &ps->held[i];
	}
	return NULL;
}

static void partitions_drop_held(struct partitions *ps, struct partition p)
{
	struct held_table *t = partitions_find_held(ps, p);

	CHECK(t != NULL);
	ps->held_count--;
	memmove(t, t + 1, (size_t)(&ps->held[ps->held_count] - t) * sizeof(*t));
}

static void partitions_change_holder(struct partitions *ps, struct partition p, enum holder from,
	enum holder to)
{
	if (from == to)
		return;
	if (from != HOLDER_NONE)
		partitions_drop_held(ps, p);
	if (to == HOLDER_NONE)
		return;
	CHECK(partitions_count_held(ps, to) <
		(to == HOLDER_WRITER ? PARTITIONS_LOADING_MAX : PARTITIONS_ATTACHING_MAX));
	ps->held[ps->held_count++] = (struct held_table){.partition = p};
}

void partitions_enter(struct partitions *ps, struct partition p, enum partition_state to)
{
	enum partition_state from = partitions_state(ps, p);

	if (from == to)
		return;
	CHECK(to != PARTITION_UNKNOWN && partition_may_follow(from, to));
	if (from == PARTITION_UNKNOWN && ps->count >= PARTITIONS_MAX)
		partitions_doubt(ps); /* what is needed is asked for again */
	partitions_change_holder(ps, p, machine[from].holder, machine[to].holder);
	partitions_put(ps, p, to);
}

/* To the attacher, or where it has no room to a state in which the rows are left for later. */
static void partitions_hand_over(struct partitions *ps, struct partition p,
	enum partition_state state, enum partition_state left)
{
	bool room = partitions_holder(ps, p) == HOLDER_ATTACHER ||
		    partitions_count_held(ps, HOLDER_ATTACHER) < PARTITIONS_ATTACHING_MAX;

	partitions_enter(ps, p, room ? state : left);
}

static void partitions_add_as(struct partitions *ps, struct partition p, bool renamed)
{
	if (partitions_holder(ps, p) != HOLDER_NONE)
		partitions_hand_over(ps, p, PARTITION_MOVING, PARTITION_THERE);
	else
		partitions_enter(ps, p, PARTITION_THERE);
	ps->renamed[partition_slot(ps, p)] = renamed;
}

void partitions_add(struct partitions *ps, struct partition p)
{
	partitions_add_as(ps, p, false);
}

void partitions_add_renamed(struct partitions *ps, struct partition p)
{
	partitions_add_as(ps, p, true);
}

size_t partitions_survey(const struct partitions *ps, enum table_id table, int64_t *oldest_us_out)
{
	struct partition oldest = {table, INT32_MAX};
	size_t count = 0;

	for (size_t i = 0; i < PARTITIONS_SLOTS; i++) {
		const struct partition *p = &ps->slots[i];

		if ((ps->states[i] != PARTITION_THERE && ps->states[i] != PARTITION_MOVING) ||
			p->table != table || p->number == PARTITION_UNDATED)
			continue;
		if (p->number < oldest.number)
			oldest = *p;
		count++;
	}
	if (count > 0)
		*oldest_us_out = partition_time(oldest);
	return count;
}

/* ---- tables that become partitions ---- */

size_t partitions_count_filled(const struct partitions *ps)
{
	return partitions_count_held(ps, HOLDER_WRITER);
}

bool partitions_is_filled(const struct partitions *ps, struct partition p)
{
	return partitions_holder(ps, p) == HOLDER_WRITER;
}

void partitions_begin_batch(struct partitions *ps)
{
	for (size_t i = ps->held_count; i-- > 0;) {
		struct partition p = ps->held[i].partition;

		ps->held[i].used = false;
		if (partitions_state(ps, p) == PARTITION_ENDING)
			partitions_enter(ps, p, PARTITION_ADMITTED);
	}
}

void partitions_use(struct partitions *ps, struct partition p)
{
	struct held_table *t = partitions_find_held(ps, p);

	CHECK(t != NULL && partitions_is_loading(ps, p));
	t->used = true;
}

void partitions_batch_stored(struct partitions *ps)
{
	for (size_t i = ps->held_count; i-- > 0;) {
		struct held_table *t = &ps->held[i];

		t->idle_batches = t->used ? 0 : t->idle_batches + 1;
		if (partitions_state(ps, t->partition) == PARTITION_ENDING)
			partitions_hand_over(ps, t->partition, PARTITION_ATTACHING,
				PARTITION_ADMITTED);
	}
}

bool partitions_find_idle(const struct partitions *ps, uint32_t batches, struct partition *out)
{
	for (size_t i = 0; i < ps->held_count; i++) {
		const struct held_table *t = &ps->held[i];

		*out = t->partition;
		if (!t->used && t->idle_batches >= batches && partitions_is_loading(ps, *out))
			return true;
	}
	return false;
}

bool partitions_find_attaching(const struct partitions *ps, struct partition *out)
{
	for (size_t i = 0; i < ps->held_count; i++) {
		*out = ps->held[i].partition;
		if (partitions_holder(ps, *out) == HOLDER_ATTACHER)
			return true;
	}
	return false;
}

void partitions_end_attaching(struct partitions *ps, struct partition p, bool attached)
{
	enum partition_state state = partitions_state(ps, p);

	if (state == PARTITION_MOVING || (state == PARTITION_ATTACHING && attached))
		partitions_enter(ps, p, PARTITION_THERE);
	else if (state == PARTITION_ATTACHING)
		partitions_enter(ps, p, PARTITION_ADMITTED);
}

/* ---- rows that may go there ---- */

bool partition_refuse_result(struct partition p, struct error *err)
{
	char name[PARTITION_NAME_BYTES];

	partition_name(p, name);
	error_set(err, ERROR_POISON, REASON_partition_detached,
		"the call that this message answers is in table \"%s\", which is not a partition "
		"of \"%s\"",
		name, tables[p.table].name);
	return error_hint(err,
		"attach it again, then `ocpp-persister dead-letters requeue --reason "
		"partition_detached`");
}

void partitions_promise(struct partitions *ps, struct partition p)
{
	if (partitions_state(ps, p) == PARTITION_UNKNOWN)
		partitions_enter(ps, p, PARTITION_ADMITTED);
}

bool partitions_admit(struct partitions *ps, struct partition p)
{
	enum partition_state state = partitions_state(ps, p);

	if (state != PARTITION_UNKNOWN)
		return state != PARTITION_DETACHED;
	if (partition_is_outside(p) && ps->outside[p.table] >= ps->outside_max)
		return false;
	partitions_enter(ps, p, PARTITION_ADMITTED);
	return true;
}
