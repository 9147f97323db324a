// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block bitmap with many threads: the weight is the sum of what the changes returned,
 * no bit of a shared word is lost, each change is in the staged page or the page is dirty
 * again, and no walk skips a page that has just been changed.
 */
#include <pthread.h>

#include "unit.h"

#include "dm-live/core/bitmap.h"

#define NR_THREADS	4
#define PAGE_BLOCKS	((u64)DM_LIVE_BITMAP_PAGE_BLOCKS)
#define NR_BLOCKS	(3 * PAGE_BLOCKS + 77)

struct worker {
	pthread_t thread;
	struct dm_live_bitmap *bitmap;
	unsigned int number;
	s64 sum;		/* bits set less bits cleared */
	unsigned int errors;	/* cmocka's checks are for the main thread */
};

static pthread_barrier_t start;

static void run_workers(struct dm_live_bitmap *bitmap, void *(*run)(void *),
			struct worker workers[NR_THREADS])
{
	unsigned int i;

	pthread_barrier_init(&start, NULL, NR_THREADS);
	for (i = 0; i < NR_THREADS; i++) {
		workers[i] = (struct worker){ .bitmap = bitmap, .number = i };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, run,
						&workers[i]), 0);
	}
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_barrier_destroy(&start);
}

static u64 count_bits(struct dm_live_bitmap *bitmap)
{
	u64 block, nr = 0;

	for (block = 0; block < NR_BLOCKS; block++)
		nr += dm_live_bitmap_test(bitmap, block);
	return nr;
}

static void walks_find_what_tests_do(struct dm_live_bitmap *bitmap)
{
	u64 set = dm_live_bitmap_next_set(bitmap, 0, NR_BLOCKS);
	u64 clear = dm_live_bitmap_next_clear(bitmap, 0, NR_BLOCKS);
	u64 block;

	for (block = 0; block < NR_BLOCKS; block++) {
		bool is_set = dm_live_bitmap_test(bitmap, block);

		assert_int_equal(block, is_set ? set : clear);
		if (is_set)
			set = dm_live_bitmap_next_set(bitmap, block + 1, NR_BLOCKS);
		else
			clear = dm_live_bitmap_next_clear(bitmap, block + 1, NR_BLOCKS);
	}
}

static void *change_anything(void *argument)
{
	struct worker *worker = argument;
	struct rng rng = rng_new(10 + worker->number);
	unsigned int i;

	pthread_barrier_wait(&start);
	for (i = 0; i < 200000; i++) {
		u64 first = rng_below(&rng, NR_BLOCKS);
		u64 nr = min(rng_below(&rng, 300), NR_BLOCKS - first);

		/* Sometimes whole pages. */
		if (!rng_below(&rng, 5000))
			first = rng_below(&rng, 2) * PAGE_BLOCKS, nr = 2 * PAGE_BLOCKS;
		if (rng_below(&rng, 2))
			worker->sum += dm_live_bitmap_set_range(worker->bitmap,
								first, nr);
		else
			worker->sum -= dm_live_bitmap_clear_range(worker->bitmap,
								  first, nr);
	}
	return NULL;
}

static void weight_never_drifts(void **state)
{
	struct dm_live_bitmap *bitmap = dm_live_bitmap_create(NR_BLOCKS);
	struct worker workers[NR_THREADS];
	unsigned int i;
	s64 sum = 0;

	(void)state;
	run_workers(bitmap, change_anything, workers);
	for (i = 0; i < NR_THREADS; i++)
		sum += workers[i].sum;
	assert_int_equal(dm_live_bitmap_weight(bitmap), sum);
	assert_int_equal(dm_live_bitmap_weight(bitmap), count_bits(bitmap));
	walks_find_what_tests_do(bitmap);
	dm_live_bitmap_destroy(bitmap);
}

/*
 * All bits of two pages are set, those of the next two clear. Each thread has a bit in
 * each page, which it changes and changes back. Its own walk must find it, while the walks
 * of the others find pages of equal bits.
 */
static void *change_and_walk(void *argument)
{
	struct worker *worker = argument;
	unsigned int i;

	pthread_barrier_wait(&start);
	for (i = 0; i < 700; i++) {
		u64 page = i % 2 * PAGE_BLOCKS;
		u64 block = page + worker->number * 8001;

		dm_live_bitmap_clear_range(worker->bitmap, block, 1);
		worker->errors += dm_live_bitmap_next_clear(worker->bitmap, page,
							    page + PAGE_BLOCKS) > block;
		dm_live_bitmap_set_range(worker->bitmap, block, 1);
		dm_live_bitmap_next_clear(worker->bitmap, page, page + PAGE_BLOCKS);
		page += 2 * PAGE_BLOCKS;
		block += 2 * PAGE_BLOCKS;
		dm_live_bitmap_set_range(worker->bitmap, block, 1);
		worker->errors += dm_live_bitmap_next_set(worker->bitmap, page,
							  page + PAGE_BLOCKS) > block;
		dm_live_bitmap_clear_range(worker->bitmap, block, 1);
		dm_live_bitmap_next_set(worker->bitmap, page, page + PAGE_BLOCKS);
	}
	return NULL;
}

static void no_walk_misses_a_change(void **state)
{
	struct dm_live_bitmap *bitmap = dm_live_bitmap_create(4 * PAGE_BLOCKS);
	struct worker workers[NR_THREADS];
	unsigned int i;

	(void)state;
	dm_live_bitmap_set_range(bitmap, 0, 2 * PAGE_BLOCKS);
	run_workers(bitmap, change_and_walk, workers);
	for (i = 0; i < NR_THREADS; i++)
		assert_int_equal(workers[i].errors, 0);
	assert_int_equal(dm_live_bitmap_weight(bitmap), 2 * PAGE_BLOCKS);
	dm_live_bitmap_destroy(bitmap);
}

/* Each thread owns every NR_THREADSth block, so all threads share all words. */
static void *change_own(void *argument)
{
	struct worker *worker = argument;
	struct rng rng = rng_new(20 + worker->number);
	static const u64 window = 512;
	unsigned int i;

	for (i = 0; i < 300000; i++) {
		u64 block = rng_below(&rng, window / NR_THREADS) * NR_THREADS +
			    worker->number;
		bool is_set = dm_live_bitmap_test(worker->bitmap, block);
		u64 changed = is_set ?
			      dm_live_bitmap_clear_range(worker->bitmap, block, 1) :
			      dm_live_bitmap_set_range(worker->bitmap, block, 1);

		worker->errors += changed != 1;
		worker->errors += dm_live_bitmap_test(worker->bitmap, block) == is_set;
	}
	return NULL;
}

static void neighbours_in_a_word_do_not_matter(void **state)
{
	struct dm_live_bitmap *bitmap = dm_live_bitmap_create(NR_BLOCKS);
	struct worker workers[NR_THREADS];
	unsigned int i;

	(void)state;
	run_workers(bitmap, change_own, workers);
	for (i = 0; i < NR_THREADS; i++)
		assert_int_equal(workers[i].errors, 0);
	assert_int_equal(dm_live_bitmap_weight(bitmap), count_bits(bitmap));
	dm_live_bitmap_destroy(bitmap);
}

/* All threads set all blocks; each block must be counted by exactly one. */
static void *set_all(void *argument)
{
	struct worker *worker = argument;
	struct rng rng = rng_new(30 + worker->number);
	u64 block = 0;

	pthread_barrier_wait(&start);
	while (block < NR_BLOCKS) {
		u64 nr = min(rng_below(&rng, 100) + 1, NR_BLOCKS - block);

		worker->sum += dm_live_bitmap_set_range(worker->bitmap, block, nr);
		block += nr;
	}
	return NULL;
}

static void each_block_is_counted_once(void **state)
{
	struct worker workers[NR_THREADS];
	unsigned int i, round;

	(void)state;
	for (round = 0; round < 20; round++) {
		struct dm_live_bitmap *bitmap = dm_live_bitmap_create(NR_BLOCKS);
		s64 sum = 0;

		run_workers(bitmap, set_all, workers);
		for (i = 0; i < NR_THREADS; i++)
			sum += workers[i].sum;
		assert_int_equal(sum, NR_BLOCKS);
		assert_int_equal(dm_live_bitmap_weight(bitmap), NR_BLOCKS);
		dm_live_bitmap_destroy(bitmap);
	}
}

/*
 * One thread sets single bits that are far apart, another stages all dirty pages into a
 * copy. In the end, after a last staging, the copy must be complete.
 */
struct staging {
	struct dm_live_bitmap *bitmap;
	u8 copy[4 * DM_LIVE_BITMAP_PAGE_BYTES];
	bool done;
};

static void stage_dirty(struct staging *staging)
{
	u64 nr_pages = dm_live_bitmap_nr_pages(staging->bitmap);
	u64 page;

	for (page = dm_live_bitmap_next_dirty(staging->bitmap, 0);
	     page < nr_pages;
	     page = dm_live_bitmap_next_dirty(staging->bitmap, page + 1))
		dm_live_bitmap_stage_page(staging->bitmap, page, staging->copy +
					  page * DM_LIVE_BITMAP_PAGE_BYTES);
}

static void *set_scattered(void *argument)
{
	struct staging *staging = argument;
	u64 i;

	for (i = 0; i < NR_BLOCKS; i++)
		dm_live_bitmap_set_range(staging->bitmap, i * 7919 % NR_BLOCKS, 1);
	__atomic_store_n(&staging->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void a_change_is_staged_or_dirty(void **state)
{
	struct staging *staging = calloc(1, sizeof(*staging));
	pthread_t thread;
	u64 block;

	(void)state;
	staging->bitmap = dm_live_bitmap_create(NR_BLOCKS);
	pthread_create(&thread, NULL, set_scattered, staging);
	while (!__atomic_load_n(&staging->done, __ATOMIC_ACQUIRE))
		stage_dirty(staging);
	stage_dirty(staging);
	pthread_join(thread, NULL);
	for (block = 0; block < NR_BLOCKS; block++)
		assert_int_equal(staging->copy[block / 8] >> block % 8 & 1,
				 dm_live_bitmap_test(staging->bitmap, block));
	dm_live_bitmap_destroy(staging->bitmap);
	free(staging);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(weight_never_drifts),
		cmocka_unit_test(neighbours_in_a_word_do_not_matter),
		cmocka_unit_test(each_block_is_counted_once),
		cmocka_unit_test(a_change_is_staged_or_dirty),
		cmocka_unit_test(no_walk_misses_a_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
