#ifndef STATIONS_LEDGER_H
#define STATIONS_LEDGER_H

#include "base/error.h"
#include "stations/message.h"
#include "stations/record.h"

/*
 * The file of what was published, in JSON lines; README.md explains it. A message is in the file
 * before it goes out (ledger_flush() before the sockets are written), so a generator that is
 * killed leaves a file that names everything a broker can have got from it. Functions accept NULL
 * and then do nothing. One thread.
 */
struct ledger;

/* Replaces an existing file. NULL with err on failure. */
struct ledger *ledger_open(const char *path, struct error *err);

/* Closes the file; what was not flushed is lost. */
void ledger_close(struct ledger **ledger);

/* The first line. options is JSON: an object. */
void ledger_begin(struct ledger *l, uint64_t seed, struct slice options);

/* topic in two parts. */
void ledger_message(struct ledger *l, uint64_t number, const struct message *m,
	const struct slice topic[static 2], uint8_t qos);
void ledger_session(struct ledger *l, const struct record *r);
void ledger_acknowledged(struct ledger *l, uint64_t first, uint32_t count);

/* The last line. totals is JSON: members of an object. */
void ledger_end(struct ledger *l, struct slice totals);

/* Acknowledgements are gathered for a tenth of a second: they come in runs that make one range. */
MUST_CHECK
bool ledger_flush(struct ledger *l, int64_t now_us, struct error *err);

#endif
