#include "unit.h"
#include "unit_survives.h"

#include "copy/writer_private.h"
#include "daemon/daemon_private.h"
#include "daemon/pipeline_private.h"

#include <string.h>

/* Every step of every state machine, as the comments in their headers have it. That of partitions
 * is in test_partitions.c. */
enum { STATES_MAX = 10 };

struct machine {
	unsigned (*next)(unsigned state);
	void (*step)(unsigned from, unsigned to);
	struct {
		const char *name, *next;
	} states[STATES_MAX];
};

struct step {
	const struct machine *machine;
	unsigned from;
};

static unsigned next_of_writer(unsigned state)
{
	return writer_next((enum writer_state)state);
}

static void step_of_writer(unsigned from, unsigned to)
{
	static struct writer w;

	w.state = (enum writer_state)from;
	writer_enter(&w, (enum writer_state)to);
}

static unsigned next_of_pipeline(unsigned state)
{
	return pipeline_next((enum pipeline_state)state);
}

static void step_of_pipeline(unsigned from, unsigned to)
{
	static struct pipeline p;

	p.state = (enum pipeline_state)from;
	if (to == PIPELINE_STORING || to == PIPELINE_LAST)
		p.storing = &p.batches[0];
	pipeline_enter(&p, (enum pipeline_state)to);
}

static unsigned next_of_search(unsigned state)
{
	return pipeline_search_next((enum pipeline_search)state);
}

static void step_of_search(unsigned from, unsigned to)
{
	static struct pipeline p;

	p.search = (enum pipeline_search)from;
	pipeline_enter_search(&p, (enum pipeline_search)to);
}

static unsigned next_of_daemon(unsigned state)
{
	return daemon_next((enum daemon_phase)state);
}

static void step_of_daemon(unsigned from, unsigned to)
{
	static struct daemon d;

	d.phase = (enum daemon_phase)from;
	daemon_enter(&d, (enum daemon_phase)to);
}

static unsigned next_of_drain(unsigned state)
{
	return drain_next((enum drain_step)state);
}

static void step_of_drain(unsigned from, unsigned to)
{
	static struct daemon d;

	d.drain = (enum drain_step)from;
	daemon_drain_enter(&d, (enum drain_step)to);
}

static const struct machine machines[] = {
	{next_of_writer, step_of_writer,
		{[WRITER_LOST] = {"LOST", "CONNECTING"},
			[WRITER_CONNECTING] = {"CONNECTING", "READY LOST"},
			[WRITER_READY] = {"READY", "STORING MAINTAINING CONNECTING LOST"},
			[WRITER_STORING] = {"STORING", "COMMITTED ROLLING_BACK LOST"},
			[WRITER_COMMITTED] = {"COMMITTED", "READY LOST"},
			[WRITER_ROLLING_BACK] = {"ROLLING_BACK", "READY STORING LOST"},
			[WRITER_MAINTAINING] = {"MAINTAINING", "READY LOST"}}},
	{next_of_pipeline, step_of_pipeline,
		{[PIPELINE_NEW] = {"NEW", "CONNECTING ENDED"},
			[PIPELINE_CONNECTING] = {"CONNECTING", "READY MIGRATING LOST ENDED"},
			[PIPELINE_MIGRATING] = {"MIGRATING", "CONNECTING LOST ENDED"},
			[PIPELINE_LOST] = {"LOST", "CONNECTING ENDED"},
			[PIPELINE_READY] = {"READY", "STORING PAUSED UNSURE LOST ENDED"},
			[PIPELINE_STORING] = {"STORING", "READY PAUSED UNSURE LAST LOST ENDED"},
			[PIPELINE_LAST] = {"LAST", "ENDED"},
			[PIPELINE_PAUSED] = {"PAUSED", "READY LOST ENDED"},
			[PIPELINE_UNSURE] = {"UNSURE", "CONNECTING LOST ENDED"},
			[PIPELINE_ENDED] = {"ENDED", ""}}},
	{next_of_search, step_of_search,
		{[SEARCH_NONE] = {"NONE", "NONE OTHERS BARE"},
			[SEARCH_OTHERS] = {"OTHERS", "OTHERS ALL_TRIED BARE NONE"},
			[SEARCH_ALL_TRIED] = {"ALL_TRIED", "ALL_TRIED BARE NONE"},
			[SEARCH_BARE] = {"BARE", "BARE HALVING FOUND NONE"},
			[SEARCH_HALVING] = {"HALVING", "HALVING FOUND NONE"},
			[SEARCH_FOUND] = {"FOUND", "FOUND HALVING NONE"}}},
	{next_of_daemon, step_of_daemon,
		{[DAEMON_STARTING] = {"STARTING", "NO_ROOM RUNNING"},
			[DAEMON_NO_ROOM] = {"NO_ROOM", "STARTING STOPPED"},
			[DAEMON_RUNNING] = {"RUNNING", "STOPPING_BROKER"},
			[DAEMON_STOPPING_BROKER] = {"STOPPING_BROKER", "STOPPING_PIPELINE"},
			[DAEMON_STOPPING_PIPELINE] = {"STOPPING_PIPELINE", ""},
			[DAEMON_STOPPED] = {"STOPPED", ""}}},
	{next_of_drain, step_of_drain,
		{[DRAIN_NONE] = {"NONE", ""},
			[DRAIN_TAKING] = {"TAKING", "STORING"},
			[DRAIN_STORING] = {"STORING", "DISCONNECTING"},
			[DRAIN_DISCONNECTING] = {"DISCONNECTING", "FORGETTING"},
			[DRAIN_FORGETTING] = {"FORGETTING", "OVER"},
			[DRAIN_OVER] = {"OVER", ""}}},
};

static void step(void *context, unsigned to)
{
	const struct step *s = context;

	s->machine->step(s->from, to);
}

static bool has_word(const char *words, const char *word)
{
	size_t size = strlen(word);

	for (const char *at = words; (at = strstr(at, word)) != NULL; at++) {
		if ((at == words || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0'))
			return true;
	}
	return false;
}

static void every_step_is_in_the_table_or_ends_the_process(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(machines) / sizeof(*machines); i++) {
		const struct machine *m = &machines[i];

		for (unsigned from = 0; from < STATES_MAX && m->states[from].name != NULL; from++) {
			for (unsigned to = 0; to < STATES_MAX && m->states[to].name != NULL; to++) {
				bool allowed = has_word(m->states[from].next, m->states[to].name);

				assert_int_equal((m->next(from) & STATE(to)) != 0, allowed);
				assert_int_equal(survives(step, &(struct step){m, from}, to),
					allowed);
			}
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_step_is_in_the_table_or_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
