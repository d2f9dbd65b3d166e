#include "metrics/metrics.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#define METRICS_PREFIX "ocpp_persister_"

enum metric_kind { COUNTER, GAUGE, SECONDS /* gauge */, SECONDS_TOTAL /* counter */ };

static const char *const metrics_dead_lettered[] = {
#define DEAD_LETTERED(name) #name,
#define SKIPPED(name)
#define REASON(name, about)
#include "base/reasons.def"
#undef DEAD_LETTERED
#undef SKIPPED
#undef REASON
	NULL};

static const char *const metrics_skipped[] = {
#define DEAD_LETTERED(name)
#define SKIPPED(name) #name,
#define REASON(name, about)
#include "base/reasons.def"
#undef DEAD_LETTERED
#undef SKIPPED
#undef REASON
	NULL};

/* Upper bounds of the buckets of all histograms, in microseconds. */
static const int64_t metrics_bounds_us[METRICS_BUCKETS] = {1000, 2500, 5000, 10000, 25000, 50000,
	100000, 250000, 500000, 1000000, 5000000, 30000000};

void metrics_family_add(struct metrics_family *f, const char *label, uint64_t n)
{
	size_t i = 0;

	while (i < f->count && strcmp(f->members[i].label, label) != 0)
		i++;
	if (i == METRICS_FAMILY_MAX)
		return;
	if (i == f->count) {
		f->members[i].label = label;
		f->members[i].value = 0;
		f->count++;
	}
	f->members[i].value += n;
}

void metrics_histogram_add(struct metrics_histogram *h, int64_t us)
{
	size_t i = 0;

	while (i < METRICS_BUCKETS && us > metrics_bounds_us[i])
		i++;
	h->buckets[i]++;
	h->count++;
	h->sum_us += us;
}

static const char *metrics_kind_name(enum metric_kind kind)
{
	return kind == COUNTER || kind == SECONDS_TOTAL ? "counter" : "gauge";
}

static void put_printf(struct text *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void put_printf(struct text *t, const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	text_put_cstr(t, line);
}

static void put_help(struct text *t, const char *name, const char *kind, const char *help)
{
	if (help[0] == '\0')
		return; /* not the first with this name */
	put_printf(t, "# HELP %s %s\n", name, help);
	put_printf(t, "# TYPE %s %s\n", name, kind);
}

static void put_metric(struct text *t, enum metric_kind kind, const char *name, const char *labels,
	const char *help, uint64_t value)
{
	bool braces = labels[0] != '\0';

	put_help(t, name, metrics_kind_name(kind), help);
	put_printf(t, "%s%s%s%s ", name, braces ? "{" : "", labels, braces ? "}" : "");
	if (kind == SECONDS || kind == SECONDS_TOTAL)
		put_printf(t, "%.6f\n", (double)value / 1e6);
	else
		put_printf(t, "%" PRIu64 "\n", value);
}

static void put_member(struct text *t, const char *name, const char *label, const char *value,
	uint64_t count)
{
	put_printf(t, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, value, count);
}

static uint64_t family_value(const struct metrics_family *f, const char *label)
{
	for (size_t i = 0; i < f->count; i++) {
		if (strcmp(f->members[i].label, label) == 0)
			return f->members[i].value;
	}
	return 0;
}

static bool family_is_known(const char *const *known, const char *label)
{
	while (*known != NULL && strcmp(*known, label) != 0)
		known++;
	return *known != NULL;
}

static void put_family(struct text *t, const char *name, const char *label,
	const char *const *known, const char *help, const struct metrics_family *f)
{
	put_help(t, name, "counter", help);
	for (const char *const *k = known; *k != NULL; k++)
		put_member(t, name, label, *k, family_value(f, *k));
	/* The lint finds labels that are missing here; an operator must not lose them either
	 * way. */
	for (size_t i = 0; i < f->count; i++) {
		if (!family_is_known(known, f->members[i].label))
			put_member(t, name, label, f->members[i].label, f->members[i].value);
	}
}

static void put_histogram(struct text *t, const char *name, const char *help,
	const struct metrics_histogram *h)
{
	uint64_t cumulative = 0;

	put_help(t, name, "histogram", help);
	for (size_t i = 0; i < METRICS_BUCKETS; i++) {
		cumulative += h->buckets[i];
		put_printf(t, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
			(double)metrics_bounds_us[i] / 1e6, cumulative);
	}
	put_printf(t, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, h->count);
	put_printf(t, "%s_sum %.6f\n", name, (double)h->sum_us / 1e6);
	put_printf(t, "%s_count %" PRIu64 "\n", name, h->count);
}

struct slice metrics_text(const struct metrics *m, struct arena *arena)
{
	struct text t;

	text_begin(&t, arena);
#define METRIC(field, kind, name, labels, help)                                                    \
	put_metric(&t, kind, METRICS_PREFIX name, labels, help,                                    \
		atomic_load_explicit(&m->field, memory_order_relaxed));
#define PROCESS(field, kind, name, help)                                                           \
	put_metric(&t, kind, name, "", help, atomic_load_explicit(&m->field, memory_order_relaxed));
#define FAMILY(field, name, label, known, help)                                                    \
	put_family(&t, METRICS_PREFIX name, label, known, help, &m->field);
#define HISTOGRAM(field, name, help) put_histogram(&t, METRICS_PREFIX name, help, &m->field);
#include "metrics/metrics.def"
#undef METRIC
#undef PROCESS
#undef FAMILY
#undef HISTOGRAM
	return text_end(&t);
}

static const struct {
	const char *name;
	size_t offset; /* in struct metrics */
} metrics_counts[] = {
#define METRIC(field, kind, name, labels, help) {name, offsetof(struct metrics, field)},
#define PROCESS(field, kind, name, help)
#define FAMILY(field, name, label, known, help)
#define HISTOGRAM(field, name, help)
#include "metrics/metrics.def"
#undef METRIC
#undef PROCESS
#undef FAMILY
#undef HISTOGRAM
};

uint64_t metrics_sum(const struct metrics *m, const char *name)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(metrics_counts) / sizeof(*metrics_counts); i++) {
		const void *metric = (const char *)m + metrics_counts[i].offset;

		if (strcmp(metrics_counts[i].name, name) == 0)
			sum += atomic_load_explicit((const _Atomic uint64_t *)metric,
				memory_order_relaxed);
	}
	return sum;
}

static void reference_row(const char *name, const char *kind, const char *help)
{
	if (help[0] != '\0')
		printf("| `%s` | %s | %s |\n", name, kind, help);
}

void metrics_reference(void)
{
	printf("| metric | kind | what it says |\n|---|---|---|\n");
#define METRIC(field, kind, name, labels, help)                                                    \
	reference_row(METRICS_PREFIX name, metrics_kind_name(kind), help);
#define PROCESS(field, kind, name, help) reference_row(name, metrics_kind_name(kind), help);
#define FAMILY(field, name, label, known, help)                                                    \
	reference_row(METRICS_PREFIX name, "counter by " label, help);
#define HISTOGRAM(field, name, help) reference_row(METRICS_PREFIX name, "histogram", help);
#include "metrics/metrics.def"
#undef METRIC
#undef PROCESS
#undef FAMILY
#undef HISTOGRAM
}
