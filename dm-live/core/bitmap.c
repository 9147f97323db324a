// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block bitmap: a flat array of words, and a dirty flag for each page of it.
 *
 * Ordering. A change is a read-modify-write of each word, between full barriers, and
 * only after the last word of a page comes the page's dirty flag. Staging is the
 * mirror image: first the flag is cleared, then, after a full barrier, the words
 * are read. So a change that the copy misses finds the flag cleared and sets it
 * again.
 *
 * Summary. Each page has a summary of what is known about its bits: all are clear,
 * all are set, or neither is known. Walks skip a known page without reading its
 * words. A change begins with one read-modify-write of the summary, which makes the
 * page unknown, counts the changer in and gives the page a new version; its end
 * counts the changer out. A walk that finds a page uniform makes it known by a
 * compare and exchange with the summary that was read before the words. That fails if
 * the page was changed since, and is not tried while a change is under way. So what
 * is known is true at any moment, and no reader needs a lock.
 *
 * The last page is allocated whole; bits past the end are never set.
 */
#include "bitmap.h"

struct dm_live_bitmap {
	u64 nr_blocks;
	u64 nr_pages;
	atomic64_t weight;
	unsigned long *words;
	unsigned long *dirty;
	atomic64_t *summary;	/* one a page */
};

#define WORDS_PER_PAGE	(DM_LIVE_BITMAP_PAGE_BYTES / sizeof(unsigned long))

/*
 * A summary: what is known, how many are changing the page, its version. A new
 * bitmap is zeroed, and all of its pages are known to be clear.
 */
#define SUMMARY_CLEAR		0
#define SUMMARY_SET		1
#define SUMMARY_UNKNOWN		2
#define SUMMARY_KNOWLEDGE	3
#define SUMMARY_CHANGER		4LL	/* above the knowledge */
#define SUMMARY_CHANGERS	(0xffffLL << 2)
#define SUMMARY_VERSION		0x40000LL	/* above the changers */

static u64 bytes_of_flags(u64 nr_pages)
{
	return (div_u64(nr_pages - 1, BITS_PER_LONG) + 1) *
	       sizeof(unsigned long);
}

struct dm_live_bitmap *dm_live_bitmap_create(u64 nr_blocks)
{
	struct dm_live_bitmap *bitmap = kzalloc(sizeof(*bitmap), GFP_KERNEL);

	if (!bitmap)
		return NULL;
	bitmap->nr_blocks = nr_blocks;
	bitmap->nr_pages = div_u64(nr_blocks - 1, DM_LIVE_BITMAP_PAGE_BLOCKS) +
			   1;
	atomic64_set(&bitmap->weight, 0);
	bitmap->words = shim_zalloc_large(bitmap->nr_pages *
					  DM_LIVE_BITMAP_PAGE_BYTES);
	bitmap->dirty = shim_zalloc_large(bytes_of_flags(bitmap->nr_pages));
	bitmap->summary = shim_zalloc_large(bitmap->nr_pages *
					    sizeof(*bitmap->summary));
	if (!bitmap->words || !bitmap->dirty || !bitmap->summary) {
		dm_live_bitmap_destroy(bitmap);
		return NULL;
	}
	return bitmap;
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_create);

void dm_live_bitmap_destroy(struct dm_live_bitmap *bitmap)
{
	if (!bitmap)
		return;
	shim_free_large(bitmap->summary);
	shim_free_large(bitmap->dirty);
	shim_free_large(bitmap->words);
	kfree(bitmap);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_destroy);

u64 dm_live_bitmap_nr_blocks(const struct dm_live_bitmap *bitmap)
{
	return bitmap->nr_blocks;
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_nr_blocks);

u64 dm_live_bitmap_weight(const struct dm_live_bitmap *bitmap)
{
	return atomic64_read(&bitmap->weight);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_weight);

/* Arrays of bits are walked with 64-bit indexes, also on 32-bit machines. */

static unsigned long word_at(const unsigned long *words, u64 bit)
{
	return READ_ONCE(words[(size_t)(bit / BITS_PER_LONG)]);
}

/*
 * The first bit in [bit, end) that is set in the words after an exclusive or
 * with @invert; @end if there is none.
 */
static u64 find_bit(const unsigned long *words, u64 bit, u64 end,
		    unsigned long invert)
{
	unsigned long word;

	if (bit >= end)
		return end;
	word = (word_at(words, bit) ^ invert) & (~0UL << (bit % BITS_PER_LONG));
	bit -= bit % BITS_PER_LONG;
	while (!word) {
		bit += BITS_PER_LONG;
		if (bit >= end)
			return end;
		word = word_at(words, bit) ^ invert;
	}
	return min_t(u64, bit + __ffs(word), end);
}

bool dm_live_bitmap_test(const struct dm_live_bitmap *bitmap, u64 block)
{
	return word_at(bitmap->words, block) >> (block % BITS_PER_LONG) & 1;
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_test);

static u64 end_of_page(const struct dm_live_bitmap *bitmap, u64 page)
{
	return min((page + 1) * (u64)DM_LIVE_BITMAP_PAGE_BLOCKS,
		   bitmap->nr_blocks);
}

static atomic64_t *summary_of(const struct dm_live_bitmap *bitmap, u64 page)
{
	return &bitmap->summary[(size_t)page];
}

static int knowledge(s64 summary)
{
	return summary & SUMMARY_KNOWLEDGE;
}

/* The page was all set, or all clear, after @seen was read: record that, if it holds. */
static void learn(const struct dm_live_bitmap *bitmap, u64 page, s64 seen,
		  bool set)
{
	if (knowledge(seen) == SUMMARY_UNKNOWN && !(seen & SUMMARY_CHANGERS))
		atomic64_cmpxchg(summary_of(bitmap, page), seen,
				 (seen & ~SUMMARY_KNOWLEDGE) |
				 (set ? SUMMARY_SET : SUMMARY_CLEAR));
}

/* find_bit() for a whole page of bits. */
static u64 find_in_page(const struct dm_live_bitmap *bitmap, u64 page, u64 end,
			bool set)
{
	u64 found;
	s64 seen;

	/* A change that was seen in the bits is seen here. */
	smp_rmb();
	seen = atomic64_read(summary_of(bitmap, page));
	if (knowledge(seen) == (set ? SUMMARY_CLEAR : SUMMARY_SET))
		return end;
	/* Read the bits only now: changers that were counted out have changed them. */
	smp_rmb();
	found = find_bit(bitmap->words, page * DM_LIVE_BITMAP_PAGE_BLOCKS, end,
			 set ? 0 : ~0UL);
	if (found == end)
		learn(bitmap, page, seen, !set);
	return found;
}

/* The first bit in [block, end) that is @set; @end if there is none. */
static u64 find_block(const struct dm_live_bitmap *bitmap, u64 block, u64 end,
		      bool set)
{
	shim_may_take_long(end > block &&
			   end - block > DM_LIVE_BITMAP_ATOMIC_BLOCKS);
	while (block < end) {
		u64 page = block / DM_LIVE_BITMAP_PAGE_BLOCKS;
		u64 page_end = end_of_page(bitmap, page);
		u64 stop = min(end, page_end);
		u64 found;

		if (block % DM_LIVE_BITMAP_PAGE_BLOCKS || stop < page_end)
			found = find_bit(bitmap->words, block, stop,
					 set ? 0 : ~0UL);
		else
			found = find_in_page(bitmap, page, stop, set);
		if (found < stop)
			return found;
		block = stop;
	}
	return end;
}

u64 dm_live_bitmap_next_set(const struct dm_live_bitmap *bitmap, u64 block,
			    u64 end)
{
	return find_block(bitmap, block, end, true);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_next_set);

u64 dm_live_bitmap_next_clear(const struct dm_live_bitmap *bitmap, u64 block,
			      u64 end)
{
	return find_block(bitmap, block, end, false);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_next_clear);

u64 dm_live_bitmap_run(const struct dm_live_bitmap *bitmap, u64 block, u64 end,
		       bool *is_set)
{
	*is_set = dm_live_bitmap_test(bitmap, block);
	return find_block(bitmap, block + 1, end, !*is_set);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_run);

static u64 find_slowly(const struct dm_live_bitmap *bitmap, u64 block, u64 end,
		       bool set)
{
	u64 found, piece;

	for (; block < end; block = piece) {
		piece = dm_live_bitmap_piece_end(block, end);
		found = find_block(bitmap, block, piece, set);
		if (found < piece)
			return found;
		cond_resched();
	}
	return end;
}

u64 dm_live_bitmap_next_set_slowly(const struct dm_live_bitmap *bitmap,
				   u64 block, u64 end)
{
	return find_slowly(bitmap, block, end, true);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_next_set_slowly);

u64 dm_live_bitmap_next_clear_slowly(const struct dm_live_bitmap *bitmap,
				     u64 block, u64 end)
{
	return find_slowly(bitmap, block, end, false);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_next_clear_slowly);

u64 dm_live_bitmap_run_slowly(const struct dm_live_bitmap *bitmap, u64 block,
			      u64 end, bool *is_set)
{
	*is_set = dm_live_bitmap_test(bitmap, block);
	return find_slowly(bitmap, block + 1, end, !*is_set);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_run_slowly);

/* The bits of one word that lie in [bit, end); bit is in that word. */
static unsigned long mask_of(u64 bit, u64 end)
{
	unsigned long mask = ~0UL << (bit % BITS_PER_LONG);
	u64 next_word = bit - bit % BITS_PER_LONG + BITS_PER_LONG;

	if (end < next_word)
		mask &= ~0UL >> (next_word - end);
	return mask;
}

/* Begin to change bits of a page: a full barrier. Return: the summary meanwhile. */
static s64 begin_change(struct dm_live_bitmap *bitmap, u64 page)
{
	atomic64_t *summary = summary_of(bitmap, page);
	s64 old = atomic64_read(summary), new;

	do {
		new = ((old & ~SUMMARY_KNOWLEDGE) | SUMMARY_UNKNOWN) +
		      SUMMARY_CHANGER + SUMMARY_VERSION;
	} while (!atomic64_try_cmpxchg(summary, &old, new));
	return new;
}

/*
 * End it. @known: what is true of the page if nobody else has changed anything
 * since begin_change(), which returned @during.
 */
static void end_change(struct dm_live_bitmap *bitmap, u64 page, s64 during,
		       int known)
{
	atomic64_t *summary = summary_of(bitmap, page);
	s64 alone = during - SUMMARY_CHANGER;

	/* The bits before the summary: partner in find_in_page(). */
	smp_mb();
	if (alone & SUMMARY_CHANGERS ||
	    atomic64_cmpxchg(summary, during,
			     (alone & ~SUMMARY_KNOWLEDGE) | known) != during)
		atomic64_sub(SUMMARY_CHANGER, summary);
}

static u64 change_word(unsigned long *words, u64 bit, unsigned long mask,
		       bool set)
{
	atomic_long_t *word =
		(atomic_long_t *)&words[(size_t)(bit / BITS_PER_LONG)];
	unsigned long old;

	/* Relaxed: the barriers are in begin_change() and end_change() of the page. */
	if (mask == ~0UL) {
		old = atomic_long_xchg_relaxed(word, set ? ~0UL : 0);
		return hweight_long(set ? ~old : old);
	}
	old = set ? atomic_long_fetch_or(mask, word) :
		    atomic_long_fetch_andnot(mask, word);
	return hweight_long(mask & (set ? ~old : old));
}

static bool is_right(const unsigned long *words, u64 bit, unsigned long mask,
		     bool set)
{
	unsigned long word = word_at(words, bit);

	return !((set ? ~word : word) & mask);
}

/* Set or clear bits of a page. Words that are right already are not written to. */
static u64 change_part(struct dm_live_bitmap *bitmap, u64 bit, u64 end,
		       bool set)
{
	u64 page = bit / DM_LIVE_BITMAP_PAGE_BLOCKS;
	unsigned long mask;
	u64 changed = 0;
	s64 during;

	for (;; bit += BITS_PER_LONG - bit % BITS_PER_LONG) {
		if (bit >= end)
			return 0;
		mask = mask_of(bit, end);
		if (!is_right(bitmap->words, bit, mask, set))
			break;
	}
	during = begin_change(bitmap, page);
	for (; bit < end; bit += BITS_PER_LONG - bit % BITS_PER_LONG) {
		mask = mask_of(bit, end);
		if (!is_right(bitmap->words, bit, mask, set))
			changed += change_word(bitmap->words, bit, mask, set);
	}
	end_change(bitmap, page, during, SUMMARY_UNKNOWN);
	return changed;
}

/* The same for a whole page, which makes it known. */
static u64 change_whole(struct dm_live_bitmap *bitmap, u64 page, bool set)
{
	u64 bit = page * DM_LIVE_BITMAP_PAGE_BLOCKS;
	u64 end = end_of_page(bitmap, page);
	int wanted = set ? SUMMARY_SET : SUMMARY_CLEAR;
	u64 changed = 0;
	s64 during;

	/* A change that was seen in the bits is seen here. */
	smp_rmb();
	if (knowledge(atomic64_read(summary_of(bitmap, page))) == wanted)
		return 0;
	/* Before any bit is looked at: see end_change(). */
	during = begin_change(bitmap, page);
	for (; bit < end; bit += BITS_PER_LONG) {
		unsigned long mask = mask_of(bit, end);

		if (!is_right(bitmap->words, bit, mask, set))
			changed += change_word(bitmap->words, bit, mask, set);
	}
	end_change(bitmap, page, during, wanted);
	return changed;
}

static void mark_dirty(struct dm_live_bitmap *bitmap, u64 page)
{
	if (!dm_live_bitmap_is_dirty(bitmap, page))
		change_word(bitmap->dirty, page, mask_of(page, page + 1), true);
}

static u64 change_range(struct dm_live_bitmap *bitmap, u64 block, u64 nr,
			bool set)
{
	u64 end = block + nr;
	u64 total = 0;

	shim_may_take_long(nr > DM_LIVE_BITMAP_ATOMIC_BLOCKS);
	while (block < end) {
		u64 page = block / DM_LIVE_BITMAP_PAGE_BLOCKS;
		u64 page_end = end_of_page(bitmap, page);
		u64 stop = min(end, page_end);
		u64 changed;

		if (block % DM_LIVE_BITMAP_PAGE_BLOCKS || stop < page_end)
			changed = change_part(bitmap, block, stop, set);
		else
			changed = change_whole(bitmap, page, set);
		if (changed) {
			/* Bits before the flag: dm_live_bitmap_stage_page(). */
			smp_mb();
			mark_dirty(bitmap, page);
		}
		total += changed;
		block = stop;
	}
	if (total)
		atomic64_add(set ? total : -total, &bitmap->weight);
	/* The change is visible to all CPUs before those who wait for it are told. */
	smp_mb();
	return total;
}

u64 dm_live_bitmap_set_range(struct dm_live_bitmap *bitmap, u64 block, u64 nr)
{
	return change_range(bitmap, block, nr, true);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_set_range);

u64 dm_live_bitmap_clear_range(struct dm_live_bitmap *bitmap, u64 block, u64 nr)
{
	return change_range(bitmap, block, nr, false);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_clear_range);

static u64 change_slowly(struct dm_live_bitmap *bitmap, u64 block, u64 nr,
			 bool set)
{
	u64 end = block + nr, piece, total = 0;

	for (; block < end; block = piece) {
		piece = dm_live_bitmap_piece_end(block, end);
		total += change_range(bitmap, block, piece - block, set);
		cond_resched();
	}
	return total;
}

u64 dm_live_bitmap_set_range_slowly(struct dm_live_bitmap *bitmap, u64 block,
				    u64 nr)
{
	return change_slowly(bitmap, block, nr, true);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_set_range_slowly);

u64 dm_live_bitmap_clear_range_slowly(struct dm_live_bitmap *bitmap, u64 block,
				      u64 nr)
{
	return change_slowly(bitmap, block, nr, false);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_clear_range_slowly);

void dm_live_bitmap_reset(struct dm_live_bitmap *bitmap)
{
	u64 page;

	for (page = 0; page < bitmap->nr_pages; page++) {
		s64 summary = atomic64_read(summary_of(bitmap, page));

		if (knowledge(summary) == SUMMARY_CLEAR)
			continue;
		memset(&bitmap->words[(size_t)page * WORDS_PER_PAGE], 0,
		       DM_LIVE_BITMAP_PAGE_BYTES);
		atomic64_set(summary_of(bitmap, page),
			     ((summary & ~SUMMARY_KNOWLEDGE) | SUMMARY_CLEAR) +
			     SUMMARY_VERSION);
		mark_dirty(bitmap, page);
		cond_resched();
	}
	atomic64_set(&bitmap->weight, 0);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_reset);

void dm_live_bitmap_renew(struct dm_live_bitmap *bitmap)
{
	dm_live_bitmap_reset(bitmap);
	memset(bitmap->dirty, 0, bytes_of_flags(bitmap->nr_pages));
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_renew);

u64 dm_live_bitmap_nr_pages(const struct dm_live_bitmap *bitmap)
{
	return bitmap->nr_pages;
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_nr_pages);

u64 dm_live_bitmap_next_dirty(const struct dm_live_bitmap *bitmap, u64 page)
{
	return find_bit(bitmap->dirty, page, bitmap->nr_pages, 0);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_next_dirty);

bool dm_live_bitmap_is_dirty(const struct dm_live_bitmap *bitmap, u64 page)
{
	return is_right(bitmap->dirty, page, mask_of(page, page + 1), true);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_is_dirty);

void dm_live_bitmap_mark_dirty(struct dm_live_bitmap *bitmap, u64 page)
{
	mark_dirty(bitmap, page);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_mark_dirty);

static unsigned long to_disk_order(unsigned long word)
{
#if BITS_PER_LONG == 64
	return (__force unsigned long)cpu_to_le64(word);
#else
	return (__force unsigned long)cpu_to_le32(word);
#endif
}

void dm_live_bitmap_copy_page(const struct dm_live_bitmap *bitmap, u64 page,
			      void *dst)
{
	const unsigned long *words =
		&bitmap->words[(size_t)page * WORDS_PER_PAGE];
	unsigned long *out = dst;
	unsigned int i;

	for (i = 0; i < WORDS_PER_PAGE; i++)
		out[i] = to_disk_order(READ_ONCE(words[i]));
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_copy_page);

void dm_live_bitmap_stage_page(struct dm_live_bitmap *bitmap, u64 page,
			       void *dst)
{
	if (!is_right(bitmap->dirty, page, mask_of(page, page + 1), false))
		change_word(bitmap->dirty, page, mask_of(page, page + 1), false);
	/* The flag before the bits: partner of the barrier in change_range(). */
	smp_mb();
	dm_live_bitmap_copy_page(bitmap, page, dst);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_stage_page);

void dm_live_bitmap_load_page(struct dm_live_bitmap *bitmap, u64 page,
			      const void *src)
{
	unsigned long *words = &bitmap->words[(size_t)page * WORDS_PER_PAGE];
	u64 first = page * DM_LIVE_BITMAP_PAGE_BLOCKS;
	u64 nr = end_of_page(bitmap, page) - first;
	const unsigned long *in = src;
	s64 change = 0, weight = 0;
	unsigned int i;
	s64 during;

	during = begin_change(bitmap, page);

	for (i = 0; i < WORDS_PER_PAGE; i++) {
		u64 bit = first + (u64)i * BITS_PER_LONG;
		unsigned long word = 0;

		if (bit < bitmap->nr_blocks)
			word = to_disk_order(in[i]) &
			       mask_of(bit, bitmap->nr_blocks);
		weight += hweight_long(word);
		change -= hweight_long(words[i]);
		WRITE_ONCE(words[i], word);
	}
	end_change(bitmap, page, during, !weight ? SUMMARY_CLEAR :
		   weight == (s64)nr ? SUMMARY_SET : SUMMARY_UNKNOWN);
	atomic64_add(change + weight, &bitmap->weight);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_load_page);
