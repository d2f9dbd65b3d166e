#ifndef STATIONS_REPORT_H
#define STATIONS_REPORT_H

#include "stations/ledger.h"
#include "stations/link.h"
#include "stations/options.h"

/* What a run has done, for people (stderr), programs (stdout) and the ledger. One thread. */
struct counts {
	uint64_t published;    /* OCPP messages, each once; deliberate duplicates count */
	uint64_t packets;      /* MQTT messages, each once */
	uint64_t acknowledged; /* OCPP messages, each once */
	uint64_t duplicates;   /* of those published, deliberate duplicates */
	uint64_t reconnects;
	uint64_t actions[ACTIONS_COUNT];
	struct link_stats links;
	int64_t begin_us, last_us; /* monotonic: first publish, last acknowledgement */
};

void report_begin_ledger(struct ledger *l, const struct options *o);

/* What happened in the time since shown was counted. */
void report_status(const struct counts *c, const struct counts *shown, int64_t elapsed_us);

void report_end(const struct counts *c, const struct options *o, struct ledger *l);

#endif
