#ifndef REPLAY_READERS_JSON_SCAN_H
#define REPLAY_READERS_JSON_SCAN_H

#include "base/slice.h"

#include <stdbool.h>

/*
 * Reads the outermost object or array of one line, without judging what is inside: captures of
 * mosquitto_sub hold the bytes of payloads as they are, valid UTF-8 or not, which no JSON library
 * takes. Pure; any thread.
 */

/* Passes the next member: its key and value as they stand in the text, quotes included. False at
 * the end, or where the text is not an object; *ok_out says which. Begin with *rest = the line. */
bool json_scan_member(struct slice *rest, struct slice *key_out, struct slice *value_out,
	bool *ok_out);

/* Passes the next item of an array, as it stands in the text. False at the end, or where the text
 * is not an array. Begin with *rest = the array. */
bool json_scan_item(struct slice *rest, struct slice *value_out);

/*
 * The bytes of a string as it stands in the text, into out, which has value.size bytes of room.
 * Returns how many, or -1 if it is not a string or has an escape that means nothing.
 */
int64_t json_scan_string(struct slice value, uint8_t *out);

#endif
