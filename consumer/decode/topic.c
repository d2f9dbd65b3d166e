#include "decode/topic.h"

static const struct {
	const char *word;
	enum topic_level kind;
} topic_words[] = {
	{"+", TOPIC_ANY},
	{"#", TOPIC_REST},
	{"{direction}", TOPIC_DIRECTION},
	{"{version}", TOPIC_VERSION},
	{"{station}", TOPIC_STATION},
	{"{entity}", TOPIC_ENTITY},
};

/* The part up to the next slash; *rest is what follows, absent after the last level. */
static struct slice topic_next_level(struct slice *rest)
{
	const uint8_t *slash = rest->size == 0 ? NULL : memchr(rest->data, '/', rest->size);
	struct slice level = *rest;

	if (slash == NULL) {
		*rest = (struct slice){NULL, 0};
		return level;
	}
	level.size = (size_t)(slash - rest->data);
	*rest = slice_of(slash + 1, rest->size - level.size - 1);
	return level;
}

static bool topic_add_level(struct topic_pattern *p, struct slice level, const char *text,
	struct error *err)
{
	enum topic_level kind = TOPIC_TEXT;

	for (size_t i = 0; i < sizeof(topic_words) / sizeof(*topic_words); i++) {
		if (slice_equal_cstr(level, topic_words[i].word))
			kind = topic_words[i].kind;
	}
	if (p->count == TOPIC_LEVELS_MAX)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"topic pattern \"%s\" has more than %d levels", text, TOPIC_LEVELS_MAX);
	if (kind == TOPIC_TEXT && level.size > 0 &&
		(memchr(level.data, '{', level.size) != NULL ||
			memchr(level.data, '+', level.size) != NULL ||
			memchr(level.data, '#', level.size) != NULL)) {
		error_set(err, ERROR_FATAL, REASON_bad_setting,
			"topic pattern \"%s\" has an unknown placeholder \"%.*s\"", text,
			SLICE_ARG(level));
		return error_hint(err,
			"levels are text, +, # at the end, {direction}, {version}, {station} or "
			"{entity}");
	}
	p->levels[p->count].kind = kind;
	p->levels[p->count++].text = level;
	return true;
}

bool topic_patterns_add(struct topic_patterns *all, const char *text, struct error *err)
{
	struct topic_pattern *p = &all->patterns[all->count];
	struct slice rest = slice_from_cstr(text);
	bool subject = false;

	if (all->count == TOPIC_PATTERNS_MAX)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"more than %d topic patterns", TOPIC_PATTERNS_MAX);
	p->count = 0;
	while (!slice_is_absent(rest)) {
		if (!topic_add_level(p, topic_next_level(&rest), text, err))
			return false;
	}
	for (size_t i = 0; i < p->count; i++) {
		subject |= p->levels[i].kind == TOPIC_STATION || p->levels[i].kind == TOPIC_ENTITY;
		if (p->levels[i].kind == TOPIC_REST && i + 1 < p->count)
			return error_set(err, ERROR_FATAL, REASON_bad_setting,
				"topic pattern \"%s\" has a # that is not at its end", text);
	}
	if (!subject)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"topic pattern \"%s\" has neither {station} nor {entity}", text);
	all->count++;
	return true;
}

static enum topic_direction topic_direction(struct slice level)
{
	if (slice_equal_cstr(level, "in"))
		return TOPIC_IN;
	return slice_equal_cstr(level, "out") ? TOPIC_OUT : TOPIC_NEITHER;
}

/* The level of a topic, or of a filter, where the pattern has p->levels[at]: whether it can be
 * there, and what it means. */
static bool topic_take_level(const struct topic_pattern *p, size_t at, struct slice level,
	bool filter, struct topic *out)
{
	switch (p->levels[at].kind) {
	case TOPIC_TEXT:
		return slice_equal(level, p->levels[at].text);
	case TOPIC_DIRECTION:
		out->direction = topic_direction(level);
		return !filter || out->direction != TOPIC_NEITHER || slice_equal_cstr(level, "+");
	case TOPIC_VERSION:
		out->version = level;
		break;
	case TOPIC_STATION:
		out->station = level;
		return level.size > 0;
	case TOPIC_ENTITY:
		out->entity = level;
		return level.size > 0;
	case TOPIC_ANY:
	case TOPIC_REST:
		break;
	}
	return true;
}

/* rest: a topic, or with filter set a topic filter, whose # matches whatever the pattern has. */
static bool topic_match_one(const struct topic_pattern *p, struct slice rest, bool filter,
	struct topic *out)
{
	*out = (struct topic){.station = {NULL, 0}};
	for (size_t i = 0; i < p->count; i++) {
		struct slice level;

		if (p->levels[i].kind == TOPIC_REST)
			return true;
		if (slice_is_absent(rest))
			return false;
		level = topic_next_level(&rest);
		if (filter && slice_equal_cstr(level, "#"))
			return true;
		if (!topic_take_level(p, i, level, filter, out))
			return false;
	}
	/* a/# also means a. */
	return slice_is_absent(rest) || (filter && slice_equal_cstr(rest, "#"));
}

bool topic_match(const struct topic_patterns *all, struct slice topic, struct topic *out)
{
	for (size_t i = 0; i < all->count; i++) {
		if (topic_match_one(&all->patterns[i], topic, false, out))
			return true;
	}
	return false;
}

bool topic_patterns_fit(const struct topic_patterns *all, struct slice filter)
{
	struct topic ignored;

	for (size_t i = 0; i < all->count; i++) {
		if (topic_match_one(&all->patterns[i], filter, true, &ignored))
			return true;
	}
	return false;
}

bool topic_pattern_lacks_version(const struct topic_patterns *all)
{
	const struct topic_pattern *p = &all->patterns[all->count - 1];
	bool station = false;

	for (size_t i = 0; i < p->count; i++) {
		station |= p->levels[i].kind == TOPIC_STATION;
		if (p->levels[i].kind == TOPIC_VERSION || p->levels[i].kind == TOPIC_ENTITY)
			return false;
	}
	return station;
}
