#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

/*
 * Limits that are facts of formats or promises, not settings. Settings have theirs in
 * config/config.def.
 */

/* MQTT 5 section 1.5.4: a UTF-8 string carries a two byte length. */
#define TOPIC_BYTES_MAX 65535

/* How much of an oversized message its dead letter keeps; a SHA-256 identifies the whole. */
#define OVERSIZED_KEPT_BYTES (64 * 1024)

/* Nesting of a payload. OCPP 2.1 needs 9 levels; customData may add some. */
#define DECODE_DEPTH_MAX 32

/* Values (scalars, arrays, maps) in one record. 40 bytes each in the arena: 10 MiB at most. */
#define DECODE_VALUES_MAX (256 * 1024)

/* OCPP messages in one record (an array sent as one MQTT message). */
#define DECODE_MESSAGES_MAX 65536

/* PostgreSQL's numeric: 131072 digits before, 16383 after the point. What exceeds them is not
 * treated as a number. */
#define NUMERIC_DIGITS_BEFORE_MAX 131072
#define NUMERIC_DIGITS_AFTER_MAX 16383

/* Digits of a number that goes into a numeric column alone, without its text beside it. */
#define PLAIN_DIGITS_MAX 38

#endif
