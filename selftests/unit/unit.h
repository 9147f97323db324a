/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SELFTESTS_UNIT_H
#define SELFTESTS_UNIT_H

/*
 * For all unit tests: cmocka and the headers that it requires, reproducible random
 * numbers, and sanitizer settings.
 *
 * TEST_SEED in the environment changes the random numbers, which are the same in each
 * run otherwise.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NR_OF(array)	(sizeof(array) / sizeof((array)[0]))

/* A generator of its own for each thread: xorshift64*. */
struct rng {
	unsigned long long state;
};

static inline unsigned long long rng_next(struct rng *rng)
{
	rng->state ^= rng->state >> 12;
	rng->state ^= rng->state << 25;
	rng->state ^= rng->state >> 27;
	return rng->state * 0x2545f4914f6cdd1dULL;
}

/* 0 to @limit - 1 */
static inline unsigned long long rng_below(struct rng *rng,
					   unsigned long long limit)
{
	return (rng_next(rng) >> 16) % limit;
}

/* @stream: threads that share a seed differ in this number. */
static inline struct rng rng_new(unsigned int stream)
{
	const char *text = getenv("TEST_SEED");
	unsigned long long seed = text ? strtoull(text, NULL, 0) : 1;
	struct rng rng = {
		.state = (seed + 1) * 0x9e3779b97f4a7c15ULL ^ (stream + 1ULL) << 32,
	};

	rng_next(&rng);
	return rng;
}

/*
 * Read by the sanitizers at start: a failed allocation returns NULL, as it does without
 * them. One source file of a program includes this header.
 */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
	return "allocator_may_return_null=1:halt_on_error=1";
}

#endif /* SELFTESTS_UNIT_H */
