/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOSTILE_FUZZ_H
#define HOSTILE_FUZZ_H

/*
 * For the actors of the fuzzer. Each has its own random numbers, so its operations
 * depend only on the seed; their results depend on the other actors.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Mapped devices. The last one is for views of the others. */
#define NR_DEVICES	3
/* Two files, one backing or target, the metadata of alloctrack, that of cbw. */
#define NR_DISKS	5
#define DISK_SECTORS	8192u

/** struct rng - a source of random numbers */
struct rng {
	uint64_t state;
};

static inline void rng_init(struct rng *rng, uint64_t seed, uint64_t actor)
{
	rng->state = (seed + 1) * 0x9e3779b97f4a7c15ULL ^
		     (actor + 1) * 0xbf58476d1ce4e5b9ULL;
}

static inline uint64_t rng_next(struct rng *rng)
{
	rng->state ^= rng->state << 13;
	rng->state ^= rng->state >> 7;
	rng->state ^= rng->state << 17;
	return rng->state * 0x2545f4914f6cdd1dULL >> 11;
}

static inline unsigned int rng_below(struct rng *rng, unsigned int limit)
{
	return rng_next(rng) % limit;
}

/* True @percent times of 100. */
static inline bool rng_chance(struct rng *rng, unsigned int percent)
{
	return rng_below(rng, 100) < percent;
}

#define RNG_PICK(rng, array) \
	((array)[rng_below(rng, sizeof(array) / sizeof((array)[0]))])

/** struct counters - what was tried, and what was accepted; shared memory */
struct counters {
	unsigned int loads, loads_good;
	unsigned int resumes, resumes_good;
	unsigned int messages, messages_good;
	unsigned int ios, ios_good;
	unsigned int attaches, attaches_good;
	unsigned int ioctls, ioctls_good;
	unsigned int served;
};

extern struct counters *counters;
extern const char *disks[NR_DISKS];
extern const char *const device_names[NR_DEVICES];
extern dev_t devices[NR_DEVICES];

static inline void count(unsigned int *tried, unsigned int *good, int error)
{
	__atomic_fetch_add(tried, 1, __ATOMIC_RELAXED);
	if (!error)
		__atomic_fetch_add(good, 1, __ATOMIC_RELAXED);
}

/** fuzz_table - load a random table into device number @device */
void fuzz_table(struct rng *rng, unsigned int device);

/** fuzz_message - send it a random message */
void fuzz_message(struct rng *rng, unsigned int device);

/** fuzz_server - be a server for @nr_ioctls ioctls from several threads */
void fuzz_server(struct rng *rng, unsigned int nr_ioctls);

#endif /* HOSTILE_FUZZ_H */
