#include "stations/pace.h"

#include "base/clock.h"

int64_t pace_due_us(const struct pace *p, uint64_t number, int64_t simulated_us)
{
	int64_t due_us = p->begin_us;

	if (p->rate > 0)
		due_us += (int64_t)(number / (uint64_t)p->rate) * US_PER_SECOND +
			  (int64_t)(number % (uint64_t)p->rate) * US_PER_SECOND / p->rate;
	if (p->speedup > 0) {
		int64_t at_us = p->begin_us + (simulated_us - p->start_us) / p->speedup * 1000 +
				(simulated_us - p->start_us) % p->speedup * 1000 / p->speedup;

		if (at_us > due_us)
			due_us = at_us;
	}
	if (p->waits_for_clock) {
		int64_t at_us = p->begin_us + (simulated_us - p->begin_wall_us);

		if (at_us > due_us)
			due_us = at_us;
	}
	return due_us;
}
