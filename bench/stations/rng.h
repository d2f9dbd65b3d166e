#ifndef STATIONS_RNG_H
#define STATIONS_RNG_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Numbers that look random and repeat exactly: xoshiro256** (Blackman and Vigna, public domain),
 * seeded through splitmix64 as its authors advise. Each station has one of its own, so what a
 * station says does not depend on how many others there are or when it is its turn. One thread.
 */
struct rng {
	uint64_t s[4];
};

static inline uint64_t rng_mix(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* stream distinguishes generators with one seed: 0 for what all stations share, then one per
 * station. */
static inline void rng_init(struct rng *r, uint64_t seed, uint64_t stream)
{
	uint64_t state = seed ^ (stream * UINT64_C(0xd1342543de82ef95));

	for (int i = 0; i < 4; i++)
		r->s[i] = rng_mix(&state);
}

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t product = r->s[1] * 5;
	uint64_t result = ((product << 7) | (product >> 57)) * 9;
	uint64_t t = r->s[1] << 17;

	r->s[2] ^= r->s[0];
	r->s[3] ^= r->s[1];
	r->s[1] ^= r->s[2];
	r->s[0] ^= r->s[3];
	r->s[2] ^= t;
	r->s[3] = (r->s[3] << 45) | (r->s[3] >> 19);
	return result;
}

/* 0 .. bound - 1. The bias of this (bound / 2^32) does not matter to a simulation. */
static inline uint32_t rng_below(struct rng *r, uint32_t bound)
{
	return (uint32_t)(((rng_next(r) >> 32) * bound) >> 32);
}

/* low .. high, both included. */
static inline int64_t rng_between(struct rng *r, int64_t low, int64_t high)
{
	return low + (int64_t)(rng_next(r) % (uint64_t)(high - low + 1));
}

/* True in this many cases of 1000. */
static inline bool rng_permille(struct rng *r, uint32_t permille)
{
	return rng_below(r, 1000) < permille;
}

#endif
