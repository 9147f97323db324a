// SPDX-License-Identifier: GPL-2.0-only
/*
 * The order of the bitmap's steps: whatever comes between two memory accesses
 * of a change or of a staging, no change is lost. Instead of hoping for threads
 * to meet, each access calls a hook, which does the other side's whole work
 * there. What a test of this kind cannot see is a missing barrier.
 */
#include "unit.h"

#include "dm-live/shim.h"

/* Called before each access; it may change and stage the bitmap. */
static void step(void);

static inline unsigned long hooked_read(const unsigned long *word)
{
	step();
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline long hooked_fetch_or(long mask, atomic_long_t *word)
{
	step();
	return atomic_long_fetch_or(mask, word);
}

static inline long hooked_fetch_andnot(long mask, atomic_long_t *word)
{
	step();
	return atomic_long_fetch_andnot(mask, word);
}

#undef READ_ONCE
#define READ_ONCE(x) hooked_read(&(x))
#define atomic_long_fetch_or hooked_fetch_or
#define atomic_long_fetch_andnot hooked_fetch_andnot
#include "dm-live/bitmap.c"

#define PAGE	DM_LIVE_BITMAP_PAGE_BYTES

/* What stands in between: @work, at step number @at of the main work. */
static struct {
	void (*work)(void);
	unsigned int at;
	unsigned int now;
	bool inside;	/* the hook's own steps are not counted */
} hook;

static struct dm_live_bitmap *bitmap;
static u8 copy[PAGE];
static u64 bit;

static void step(void)
{
	if (hook.inside)
		return;
	if (hook.now++ == hook.at && hook.work) {
		hook.inside = true;
		hook.work();
		hook.inside = false;
	}
}

/* Has @main done, with @between at step @at. False when it has fewer steps. */
static bool interrupt(void (*main_work)(void), void (*between)(void),
		      unsigned int at)
{
	hook.work = between;
	hook.at = at;
	hook.now = 0;
	main_work();
	hook.work = NULL;
	return hook.now > at;
}

static void stage(void)
{
	dm_live_bitmap_stage_page(bitmap, 0, copy);
}

static void set(void)
{
	dm_live_bitmap_set_range(bitmap, bit, 1);
}

static void clear(void)
{
	dm_live_bitmap_clear_range(bitmap, bit, 1);
}

static void set_many(void)
{
	dm_live_bitmap_set_range(bitmap, bit, 200);
}

/* The copy is right, or the page is dirty and will be staged again. */
static void nothing_is_lost(void)
{
	u64 block;

	if (dm_live_bitmap_next_dirty(bitmap, 0) == 0)
		return;
	for (block = 0; block < DM_LIVE_BITMAP_PAGE_BLOCKS; block++)
		assert_int_equal(copy[block / 8] >> block % 8 & 1,
				 dm_live_bitmap_test(bitmap, block));
}

static const u64 bits[] = { 0, 63, 64, 16384, DM_LIVE_BITMAP_PAGE_BLOCKS - 200 };

static void every_interruption(void (*prepare)(void), void (*main_work)(void),
			       void (*between)(void))
{
	unsigned int i, at;
	bool more;

	for (i = 0; i < NR_OF(bits); i++) {
		bit = bits[i];
		for (at = 0, more = true; more; at++) {
			bitmap = dm_live_bitmap_create(DM_LIVE_BITMAP_PAGE_BLOCKS);
			memset(copy, 0, sizeof(copy));
			if (prepare) {
				prepare();
				stage();
			}
			more = interrupt(main_work, between, at);
			nothing_is_lost();
			dm_live_bitmap_destroy(bitmap);
		}
		/* At least the read of a word and its change. */
		assert_true(at > 2);
	}
}

static void a_set_during_staging(void **state)
{
	(void)state;
	every_interruption(NULL, stage, set);
	every_interruption(NULL, stage, set_many);
}

static void a_clear_during_staging(void **state)
{
	(void)state;
	every_interruption(set_many, stage, clear);
}

static void a_staging_during_a_set(void **state)
{
	(void)state;
	every_interruption(NULL, set, stage);
	every_interruption(NULL, set_many, stage);
}

static void a_staging_during_a_clear(void **state)
{
	(void)state;
	every_interruption(set_many, clear, stage);
}

static void a_staging_during_a_staging(void **state)
{
	(void)state;
	every_interruption(set_many, stage, stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_during_staging),
		cmocka_unit_test(a_clear_during_staging),
		cmocka_unit_test(a_staging_during_a_set),
		cmocka_unit_test(a_staging_during_a_clear),
		cmocka_unit_test(a_staging_during_a_staging),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
