// SPDX-License-Identifier: GPL-2.0-only
/*
 * The order of the bitmap's steps: whatever happens between two memory accesses of a
 * change or of a staging, no change is lost. Instead of waiting for a race of threads,
 * each access calls a hook, which does the whole work of the other side. Such a test
 * cannot find a missing barrier. The same for the summary of whole pages: walks always
 * agree with the bits. The accesses are also counted, to see how much a walk reads.
 */
#include "unit.h"

#include "dm-live/core/shim.h"

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

static inline long hooked_xchg(atomic_long_t *word, long value)
{
	step();
	return atomic_long_xchg_relaxed(word, value);
}

static inline s64 hooked_read64(const atomic64_t *summary)
{
	step();
	return atomic64_read(summary);
}

static inline s64 hooked_cmpxchg64(atomic64_t *summary, s64 old, s64 value)
{
	step();
	return atomic64_cmpxchg(summary, old, value);
}

static inline bool hooked_try_cmpxchg64(atomic64_t *summary, s64 *old, s64 value)
{
	step();
	return atomic64_try_cmpxchg(summary, old, value);
}

static inline void hooked_sub64(s64 value, atomic64_t *summary)
{
	step();
	atomic64_sub(value, summary);
}

#undef READ_ONCE
#define READ_ONCE(x) hooked_read(&(x))
#define atomic_long_xchg_relaxed hooked_xchg
#define atomic64_read hooked_read64
#define atomic64_cmpxchg hooked_cmpxchg64
#define atomic64_try_cmpxchg hooked_try_cmpxchg64
#define atomic64_sub hooked_sub64
#define atomic_long_fetch_or hooked_fetch_or
#define atomic_long_fetch_andnot hooked_fetch_andnot
#include "dm-live/core/bitmap.c"

#define PAGE	DM_LIVE_BITMAP_PAGE_BYTES

/* The interruption: @work, at step number @at of the main work. */
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

/* Run @main, with @between at step @at. Returns false if it has fewer steps. */
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

/* Either the copy is right, or the page is dirty and will be staged again. */
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

static void set_whole(void)
{
	dm_live_bitmap_set_range(bitmap, 0, DM_LIVE_BITMAP_PAGE_BLOCKS);
}

static void clear_whole(void)
{
	dm_live_bitmap_clear_range(bitmap, 0, DM_LIVE_BITMAP_PAGE_BLOCKS);
}

static u64 walk(bool set)
{
	return set ? dm_live_bitmap_next_set(bitmap, 0, DM_LIVE_BITMAP_PAGE_BLOCKS) :
		     dm_live_bitmap_next_clear(bitmap, 0, DM_LIVE_BITMAP_PAGE_BLOCKS);
}

static void walk_both(void)
{
	walk(true);
	walk(false);
}

/* A page with equal bits for which the summary is not known. */
static void forget(void)
{
	bool is_set = dm_live_bitmap_test(bitmap, 0);

	dm_live_bitmap_clear_range(bitmap, 1, 1);
	dm_live_bitmap_set_range(bitmap, 1, 1);
	if (!is_set)
		dm_live_bitmap_clear_range(bitmap, 1, 1);
}

static void all_set(void)
{
	set_whole();
	forget();
}

static void all_clear(void)
{
	clear_whole();
	forget();
}

static u64 find_by_words(bool set)
{
	unsigned long word;
	unsigned int i;

	for (i = 0; i < WORDS_PER_PAGE; i++) {
		word = set ? bitmap->words[i] : ~bitmap->words[i];
		if (word)
			return i * BITS_PER_LONG + __ffs(word);
	}
	return DM_LIVE_BITMAP_PAGE_BLOCKS;
}

static void walks_are_true(void)
{
	assert_int_equal(walk(true), find_by_words(true));
	assert_int_equal(walk(false), find_by_words(false));
}

static void (*interruption)(void);

static bool looks_first;

static void interrupt_and_look(void)
{
	/* A walk may set the summary, which the main work must then take back. */
	if (looks_first)
		walks_are_true();
	interruption();
	walks_are_true();
}

/* Not at every word of the page: at the first and the last, around the bit, a few others. */
static bool is_of_interest(unsigned int at, unsigned int nr_steps)
{
	const unsigned int word = bit / BITS_PER_LONG;

	return at < 10 || at + 10 > nr_steps || (at + 4 > word && at < word + 8) ||
	       at % 67 == 0;
}

static void look(void (*prepare)(void), void (*main_work)(void), void (*between)(void))
{
	unsigned int at, nr_steps = 0;

	interruption = between;
	bitmap = dm_live_bitmap_create(DM_LIVE_BITMAP_PAGE_BLOCKS);
	for (at = 0; at <= nr_steps; at++) {
		if (at && !is_of_interest(at, nr_steps))
			continue;
		prepare();
		interrupt(main_work, interrupt_and_look, at);
		nr_steps = max(nr_steps, hook.now);
		walks_are_true();
	}
	dm_live_bitmap_destroy(bitmap);
}

static void walks_are_true_at_any_moment(void **state)
{
	static void (*const works[])(void) = {
		walk_both, set, clear, set_whole, clear_whole, all_set, all_clear,
	};
	static void (*const prepared[])(void) = {
		set_whole, clear_whole, all_set, all_clear, set,
	};
	unsigned int i, j, k;

	(void)state;
	bit = 16384;
	for (i = 0; i < NR_OF(prepared); i++)
		for (j = 0; j < 5; j++)
			for (k = 0; k < NR_OF(works); k++)
				for (looks_first = false;; looks_first = true) {
					look(prepared[i], works[j], works[k]);
					if (looks_first)
						break;
				}
}

/* A walk in pieces: the most accesses of one piece, and the number of pieces. */
static unsigned int most_of_pieces(u64 end, unsigned int *nr_pieces)
{
	unsigned int most = 0;
	u64 block, piece;

	*nr_pieces = 0;
	for (block = 0; block < end; block = piece, ++*nr_pieces) {
		piece = dm_live_bitmap_piece_end(block, end);
		hook.now = 0;
		assert_int_equal(dm_live_bitmap_next_clear(bitmap, block, piece), piece);
		most = max(most, hook.now);
	}
	return most;
}

static void pieces_are_bounded(void **state)
{
	const u64 page = DM_LIVE_BITMAP_PAGE_BLOCKS, end = 100 * page - 7;
	unsigned int nr_pieces;
	u64 block;

	(void)state;
	hook.work = NULL;
	bitmap = dm_live_bitmap_create(end);
	for (block = 0; block < end; block += page / 2)
		dm_live_bitmap_set_range(bitmap, block, min(page / 2, end - block));
	/* No summary is known: one access per word, and two per page. */
	assert_in_range(most_of_pieces(end, &nr_pieces), 16 * WORDS_PER_PAGE,
			16 * (WORDS_PER_PAGE + 2));
	assert_int_equal(nr_pieces, 7);
	/* All summaries are known. */
	assert_int_equal(most_of_pieces(end, &nr_pieces), 16);
	/* From the middle of a page, pieces have the same ends as from the start. */
	assert_int_equal(dm_live_bitmap_piece_end(17 * page + 3, end), 32 * page);
	assert_int_equal(dm_live_bitmap_piece_end(97 * page, end), end);
	assert_int_equal(dm_live_bitmap_piece_end(3, 4), 4);
	dm_live_bitmap_destroy(bitmap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_during_staging),
		cmocka_unit_test(a_clear_during_staging),
		cmocka_unit_test(a_staging_during_a_set),
		cmocka_unit_test(a_staging_during_a_clear),
		cmocka_unit_test(a_staging_during_a_staging),
		cmocka_unit_test(walks_are_true_at_any_moment),
		cmocka_unit_test(pieces_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
