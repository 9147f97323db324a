// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block bitmap: a flat array of words, and a dirty flag for each page of it.
 *
 * Ordering. A change is a fully ordered read-modify-write of each word, and only
 * after the last word of a page comes the page's dirty flag. Staging is the
 * mirror image: first the flag is cleared, then, after a full barrier, the words
 * are read. So a change that the copy misses finds the flag cleared and sets it
 * again.
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
};

#define WORDS_PER_PAGE	(DM_LIVE_BITMAP_PAGE_BYTES / sizeof(unsigned long))

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
	bitmap->dirty = shim_zalloc_large((div_u64(bitmap->nr_pages - 1,
						   BITS_PER_LONG) + 1) *
					  sizeof(unsigned long));
	if (!bitmap->words || !bitmap->dirty) {
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

u64 dm_live_bitmap_next_set(const struct dm_live_bitmap *bitmap, u64 block,
			    u64 end)
{
	return find_bit(bitmap->words, block, end, 0);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_next_set);

u64 dm_live_bitmap_next_clear(const struct dm_live_bitmap *bitmap, u64 block,
			      u64 end)
{
	return find_bit(bitmap->words, block, end, ~0UL);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_next_clear);

u64 dm_live_bitmap_run(const struct dm_live_bitmap *bitmap, u64 block, u64 end,
		       bool *is_set)
{
	*is_set = dm_live_bitmap_test(bitmap, block);
	return find_bit(bitmap->words, block + 1, end, *is_set ? ~0UL : 0);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_run);

/* The bits of one word that lie in [bit, end); bit is in that word. */
static unsigned long mask_of(u64 bit, u64 end)
{
	unsigned long mask = ~0UL << (bit % BITS_PER_LONG);
	u64 next_word = bit - bit % BITS_PER_LONG + BITS_PER_LONG;

	if (end < next_word)
		mask &= ~0UL >> (next_word - end);
	return mask;
}

/* Set or clear a range. Words that are right already are not written to. */
static u64 change_words(unsigned long *words, u64 bit, u64 end, bool set)
{
	u64 changed = 0;

	while (bit < end) {
		atomic_long_t *word = (atomic_long_t *)
			&words[(size_t)(bit / BITS_PER_LONG)];
		unsigned long mask = mask_of(bit, end);
		unsigned long old = atomic_long_read(word);

		if (set && (old & mask) != mask) {
			old = atomic_long_fetch_or(mask, word);
			changed += hweight_long(mask & ~old);
		} else if (!set && (old & mask)) {
			old = atomic_long_fetch_andnot(mask, word);
			changed += hweight_long(mask & old);
		}
		bit += BITS_PER_LONG - bit % BITS_PER_LONG;
	}
	return changed;
}

static void mark_dirty(struct dm_live_bitmap *bitmap, u64 page)
{
	change_words(bitmap->dirty, page, page + 1, true);
}

static u64 change_range(struct dm_live_bitmap *bitmap, u64 block, u64 nr,
			bool set)
{
	u64 end = block + nr;
	u64 total = 0;

	while (block < end) {
		u64 page = block / DM_LIVE_BITMAP_PAGE_BLOCKS;
		u64 page_end = min(end, (page + 1) *
					(u64)DM_LIVE_BITMAP_PAGE_BLOCKS);
		u64 changed = change_words(bitmap->words, block, page_end, set);

		if (changed) {
			/* Bits before the flag: dm_live_bitmap_stage_page(). */
			smp_mb();
			mark_dirty(bitmap, page);
		}
		total += changed;
		block = page_end;
	}
	if (total)
		atomic64_add(set ? total : -total, &bitmap->weight);
	/* Seen by all before whoever waits for the change is told. */
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

void dm_live_bitmap_stage_page(struct dm_live_bitmap *bitmap, u64 page,
			       void *dst)
{
	unsigned long *words = &bitmap->words[(size_t)page * WORDS_PER_PAGE];
	unsigned long *out = dst;
	unsigned int i;

	change_words(bitmap->dirty, page, page + 1, false);
	/* The flag before the bits: partner of the barrier in change_range(). */
	smp_mb();
	for (i = 0; i < WORDS_PER_PAGE; i++)
		out[i] = to_disk_order(READ_ONCE(words[i]));
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_stage_page);

void dm_live_bitmap_load_page(struct dm_live_bitmap *bitmap, u64 page,
			      const void *src)
{
	unsigned long *words = &bitmap->words[(size_t)page * WORDS_PER_PAGE];
	u64 first = page * DM_LIVE_BITMAP_PAGE_BLOCKS;
	const unsigned long *in = src;
	s64 change = 0;
	unsigned int i;

	for (i = 0; i < WORDS_PER_PAGE; i++) {
		u64 bit = first + (u64)i * BITS_PER_LONG;
		unsigned long word = 0;

		if (bit < bitmap->nr_blocks)
			word = to_disk_order(in[i]) &
			       mask_of(bit, bitmap->nr_blocks);
		change += hweight_long(word);
		change -= hweight_long(words[i]);
		WRITE_ONCE(words[i], word);
	}
	atomic64_add(change, &bitmap->weight);
}
EXPORT_SYMBOL_GPL(dm_live_bitmap_load_page);
