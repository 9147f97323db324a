// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block cache fills a block once, even if many threads miss it, keeps blocks in use,
 * never exceeds its limit, and survives blocks that cannot be filled.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "qcow2/block-cache.h"

#define BLOCK_BYTES 4096
#define SMALLEST 8	/* blocks that every cache has room for */

static _Atomic unsigned int fills;
static _Atomic bool failing;

static int fill(void *context, uint64_t key, void *data,
		struct image_error *err)
{
	(void)context;
	(void)err;
	atomic_fetch_add(&fills, 1);
	if (atomic_load(&failing))
		return -EIO;
	memset(data, key, BLOCK_BYTES);
	return 0;
}

static int setup(void **state)
{
	*state = block_cache_create(BLOCK_BYTES, 1);
	atomic_store(&fills, 0);
	atomic_store(&failing, false);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	block_cache_destroy(*state);
	return 0;
}

static struct cached_block *get(struct block_cache *cache, uint64_t key)
{
	struct cached_block *block = NULL;
	const uint8_t *data;

	if (block_cache_get(cache, key, fill, NULL, &block, NULL))
		return NULL;
	data = cached_block_data(block);
	assert_int_equal(data[0], (uint8_t)key);
	assert_int_equal(data[BLOCK_BYTES - 1], (uint8_t)key);
	return block;
}

static void a_block_is_filled_once(void **state)
{
	int i;

	for (i = 0; i < 10; i++)
		block_cache_put(get(*state, 7));
	assert_int_equal(fills, 1);
}

static void the_oldest_block_makes_room(void **state)
{
	uint64_t key;

	for (key = 0; key < SMALLEST; key++)
		block_cache_put(get(*state, key));
	block_cache_put(get(*state, 0));
	assert_int_equal(fills, SMALLEST);
	block_cache_put(get(*state, 100));
	block_cache_put(get(*state, 0));
	assert_int_equal(fills, SMALLEST + 1);
	block_cache_put(get(*state, 1));
	assert_int_equal(fills, SMALLEST + 2);
}

static void a_block_in_use_stays(void **state)
{
	struct cached_block *held = get(*state, 200);
	uint64_t key;

	for (key = 0; key < 50; key++)
		block_cache_put(get(*state, key));
	assert_int_equal(((const uint8_t *)cached_block_data(held))[9], 200);
	atomic_store(&fills, 0);
	block_cache_put(get(*state, 200));
	assert_int_equal(fills, 0);
	block_cache_put(held);
}

static void a_failed_fill_is_tried_again(void **state)
{
	int i;

	atomic_store(&failing, true);
	for (i = 0; i < 3 * SMALLEST; i++)
		assert_null(get(*state, 3));
	assert_int_equal(fills, 3 * SMALLEST);
	atomic_store(&failing, false);
	block_cache_put(get(*state, 3));
}

static void *hold_and_release(void *cache)
{
	unsigned int i;

	/* More keys than blocks, so that threads wait for one another. */
	for (i = 0; i < 20000; i++)
		block_cache_put(get(cache, i % (3 * SMALLEST)));
	return NULL;
}

static void threads_wait_for_room_and_get_it(void **state)
{
	pthread_t threads[3 * SMALLEST];
	unsigned int i;

	for (i = 0; i < 3 * SMALLEST; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						hold_and_release, *state), 0);
	for (i = 0; i < 3 * SMALLEST; i++)
		pthread_join(threads[i], NULL);
}

#define MISSING_THREADS 16

static _Atomic unsigned int arrived;

/* Does not end until all other threads have come and looked. */
static int fill_slowly(void *context, uint64_t key, void *data,
		       struct image_error *err)
{
	unsigned int i;

	while (atomic_load(&arrived) < MISSING_THREADS)
		sched_yield();
	for (i = 0; i < 1000; i++)
		sched_yield();
	return fill(context, key, data, err);
}

static void *get_one(void *cache)
{
	struct cached_block *block;

	atomic_fetch_add(&arrived, 1);
	if (!block_cache_get(cache, 77, fill_slowly, NULL, &block, NULL))
		block_cache_put(block);
	return NULL;
}

static void threads_that_miss_together_fill_once(void **state)
{
	pthread_t threads[MISSING_THREADS];
	unsigned int i;

	atomic_store(&arrived, 0);
	for (i = 0; i < MISSING_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, get_one,
						*state), 0);
	for (i = 0; i < MISSING_THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(fills, 1);
}

static void a_large_cache_holds_what_it_promises(void **state)
{
	struct block_cache *cache = block_cache_create(BLOCK_BYTES,
						       1024 * BLOCK_BYTES);
	uint64_t key;

	(void)state;
	/* The keys of tables: multiples of a large power of two. */
	for (key = 0; key < 256; key++)
		block_cache_put(get(cache, key << 16));
	atomic_store(&fills, 0);
	for (key = 0; key < 256; key++)
		block_cache_put(get(cache, key << 16));
	assert_in_range(fills, 0, 8);
	block_cache_destroy(cache);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_block_is_filled_once),
		TEST(the_oldest_block_makes_room),
		TEST(a_block_in_use_stays),
		TEST(a_failed_fill_is_tried_again),
		TEST(threads_wait_for_room_and_get_it),
		TEST(threads_that_miss_together_fill_once),
		TEST(a_large_cache_holds_what_it_promises),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
