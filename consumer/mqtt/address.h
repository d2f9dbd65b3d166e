#ifndef MQTT_ADDRESS_H
#define MQTT_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Addresses of brokers as paho spells them: "tcp://host:port", "ssl://host:port". Pure functions,
 * for any thread.
 */

/* From an address in mqtt.url, with the port that its scheme implies if it names none. malloc'ed;
 * NULL without memory. */
char *address_for_paho(const char *url);

bool address_is_tls(const char *address);

/* How many different hosts the addresses name; another port is another host. */
size_t address_count_hosts(char *const *addresses, size_t count);

#endif
