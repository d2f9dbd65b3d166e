/* Gives libFuzzer mutate.h for fuzzers of OCPP messages. One mutation of four is its own, blind. */
#include "mutate.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
	size_t mutated = seed % 4 == 0
				 ? 0
				 : mutate_message(data, size, size_max, seed / 4, LLVMFuzzerMutate);

	return mutated > 0 ? mutated : LLVMFuzzerMutate(data, size, size_max);
}
