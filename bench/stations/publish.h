#ifndef STATIONS_PUBLISH_H
#define STATIONS_PUBLISH_H

#include "stations/batch.h"
#include "stations/ledger.h"
#include "stations/link.h"
#include "stations/options.h"

/*
 * From OCPP messages to an MQTT message as MaEVE's gateway and manager publish them: topic,
 * properties, payload. One thread.
 */
enum { PUBLISHER_PREFIX_BYTES = 96, PUBLISHER_CLIENT_ID_BYTES = 80, PUBLISHER_LINKS_MAX = 64 };

struct publisher {
	uint8_t qos;
	enum mqtt_version version;
	enum shape shape;
	/* Topics without the station, by OCPP version and direction. */
	char prefixes[2][2][PUBLISHER_PREFIX_BYTES];
	char client_ids[PUBLISHER_LINKS_MAX][PUBLISHER_CLIENT_ID_BYTES];
};

void publisher_init(struct publisher *p, const struct options *o);

/* The bundle's messages are numbered from first on. False if the link has no room now. */
MUST_CHECK
bool publisher_publish(const struct publisher *p, struct link *l, const struct bundle *b,
	uint64_t first, int64_t now_us);

/* The ledger's line about one of them. */
void publisher_tell(const struct publisher *p, struct ledger *ledger, uint64_t number,
	const struct message *m);

#endif
