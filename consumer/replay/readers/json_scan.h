#ifndef REPLAY_READERS_JSON_SCAN_H
#define REPLAY_READERS_JSON_SCAN_H

#include "base/slice.h"

#include <stdbool.h>

/*
 * Reads the outermost object or array of one line, without judging what is inside: captures of
 * mosquitto_sub contain the bytes of payloads as they are, valid UTF-8 or not, which no JSON
 * library accepts. Pure; any thread.
 */

/* The next member: its key and value exactly as in the text, including quotes. False at the end, or
 * if the text is not an object; *ok_out says which. Begin with *rest = the line. */
bool json_scan_member(struct slice *rest, struct slice *key_out, struct slice *value_out,
	bool *ok_out);

/* The next item of an array, exactly as in the text. False at the end, or if the text is not an
 * array. Begin with *rest = the array. */
bool json_scan_item(struct slice *rest, struct slice *value_out);

/* Decodes a string (as in the text) into out, which has room for value.size bytes. Returns its
 * size, or -1 if it is not a string or has an unknown escape. */
int64_t json_scan_string(struct slice value, uint8_t *out);

#endif
