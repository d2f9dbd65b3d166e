#ifndef FUZZ_MUTATE_H
#define FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Mutation of OCPP messages by structure: values are replaced (by what stations are known to send,
 * by another value of the message, by changed bytes), repeated, dropped, nested and put elsewhere,
 * and what comes out is well-formed again, as JSON or as msgpack. Bytes that are changed blindly
 * rarely get past the parser; these do. One thread.
 */

/* Change the bytes of a text in place; its new size, at most size_max. LLVMFuzzerMutate() has this
 * form. */
typedef size_t mutate_bytes(uint8_t *data, size_t size, size_t size_max);

/* Mutate a JSON document in place; its new size, at most size_max. The same seed does the same. 0
 * if `data` is not JSON, or is larger or nested deeper than is handled here, or the result does not
 * fit: then data is as before. */
size_t mutate_message(uint8_t *data, size_t size, size_t size_max, unsigned seed,
	mutate_bytes *change);

#endif
