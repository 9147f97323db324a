/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_BITMAP_H
#define DM_LIVE_BITMAP_H

/*
 * A block bitmap in memory: one bit a block, bit N for block N.
 *
 * Bits are read without a lock, from any context: the test stands on the path of
 * every bio. Bits are changed with atomic read-modify-write operations, from any
 * context and by any number of CPUs at once. The number of set bits is kept as a
 * counter that never drifts: each change counts the bits that it really changed. Each
 * page of DM_LIVE_BITMAP_PAGE_BYTES of bits has a dirty flag, for the code that makes
 * the bits durable.
 *
 * A range is given as first block and number of blocks; it must lie within the
 * bitmap. No function takes a lock or sleeps, except create and destroy. Pages that
 * are known to be all clear or all set cost next to nothing; a walk takes a
 * microsecond or two for any other page. So where sleeping is not allowed, a range has
 * at most DM_LIVE_BITMAP_ATOMIC_BLOCKS: as many of the smallest blocks as one bio covers.
 * Kernels with CONFIG_DEBUG_ATOMIC_SLEEP check that. With a spinlock held, go in
 * pieces (dm_live_bitmap_piece_end()), and release the lock between them. The
 * variants named _slowly go in pieces, and may sleep.
 */

#include "shim.h"

#define DM_LIVE_BITMAP_PAGE_BYTES 4096u
#define DM_LIVE_BITMAP_PAGE_BLOCKS (DM_LIVE_BITMAP_PAGE_BYTES * 8u)
#define DM_LIVE_BITMAP_PIECE_BLOCKS (DM_LIVE_BITMAP_PAGE_BLOCKS * 16u)
#define DM_LIVE_BITMAP_ATOMIC_BLOCKS (DM_LIVE_BITMAP_PAGE_BLOCKS * 256u)

struct dm_live_bitmap;

/**
 * dm_live_bitmap_create - allocate a bitmap with all bits clear
 * @nr_blocks: number of bits, at least 1; there is no upper limit but memory
 *
 * Context: may sleep; GFP_KERNEL.
 * Return: the bitmap, or NULL when memory is short.
 */
struct dm_live_bitmap *dm_live_bitmap_create(u64 nr_blocks);

/**
 * dm_live_bitmap_destroy - free a bitmap
 * @bitmap: the bitmap, or NULL
 *
 * Context: may sleep. Nobody may use the bitmap any more.
 */
void dm_live_bitmap_destroy(struct dm_live_bitmap *bitmap);

/** dm_live_bitmap_nr_blocks - number of bits in the bitmap */
u64 dm_live_bitmap_nr_blocks(const struct dm_live_bitmap *bitmap);

/** dm_live_bitmap_weight - number of set bits; one atomic read */
u64 dm_live_bitmap_weight(const struct dm_live_bitmap *bitmap);

/**
 * dm_live_bitmap_piece_end - how far to go from @block at a time, towards @end
 *
 * At most 16 pages, up to the end of one: so all pieces but the first and the last
 * consist of whole pages.
 */
static inline u64 dm_live_bitmap_piece_end(u64 block, u64 end)
{
	u64 rest = DM_LIVE_BITMAP_PIECE_BLOCKS -
		   block % DM_LIVE_BITMAP_PIECE_BLOCKS;

	return end - block > rest ? block + rest : end;
}

/** dm_live_bitmap_test - is the bit of @block set? */
bool dm_live_bitmap_test(const struct dm_live_bitmap *bitmap, u64 block);

/**
 * dm_live_bitmap_next_set - find the first set bit in [@block, @end)
 * Return: its number, or @end when there is none.
 */
u64 dm_live_bitmap_next_set(const struct dm_live_bitmap *bitmap, u64 block,
			    u64 end);

/**
 * dm_live_bitmap_run - how far the bits equal that of @block
 * @is_set: out: the bit of @block. It is read once, so it may change meanwhile.
 * Return: the first bit in (@block, @end) that differs, or @end when there is none.
 */
u64 dm_live_bitmap_run(const struct dm_live_bitmap *bitmap, u64 block, u64 end,
		       bool *is_set);

/**
 * dm_live_bitmap_next_clear - find the first clear bit in [@block, @end)
 * Return: its number, or @end when there is none.
 */
u64 dm_live_bitmap_next_clear(const struct dm_live_bitmap *bitmap, u64 block,
			      u64 end);

/**
 * dm_live_bitmap_next_set_slowly - as dm_live_bitmap_next_set(), of any range
 * Context: may sleep.
 */
u64 dm_live_bitmap_next_set_slowly(const struct dm_live_bitmap *bitmap,
				   u64 block, u64 end);

/**
 * dm_live_bitmap_next_clear_slowly - as dm_live_bitmap_next_clear(), of any range
 * Context: may sleep.
 */
u64 dm_live_bitmap_next_clear_slowly(const struct dm_live_bitmap *bitmap,
				     u64 block, u64 end);

/**
 * dm_live_bitmap_run_slowly - as dm_live_bitmap_run(), of any range
 * Context: may sleep.
 */
u64 dm_live_bitmap_run_slowly(const struct dm_live_bitmap *bitmap, u64 block,
			      u64 end, bool *is_set);

/**
 * dm_live_bitmap_set_range - set the bits of @nr blocks from @block
 *
 * All bits are visible to other CPUs before the dirty flag of their page is,
 * and before the function returns (full barrier). The dirty flag of a page is
 * set only if a bit in it changed.
 *
 * Return: how many bits changed.
 */
u64 dm_live_bitmap_set_range(struct dm_live_bitmap *bitmap, u64 block, u64 nr);

/**
 * dm_live_bitmap_clear_range - clear the bits of @nr blocks from @block
 *
 * Ordering as dm_live_bitmap_set_range().
 *
 * Return: how many bits changed.
 */
u64 dm_live_bitmap_clear_range(struct dm_live_bitmap *bitmap, u64 block,
			       u64 nr);

/**
 * dm_live_bitmap_set_range_slowly - as dm_live_bitmap_set_range(), of any range
 * Context: may sleep.
 */
u64 dm_live_bitmap_set_range_slowly(struct dm_live_bitmap *bitmap, u64 block,
				    u64 nr);

/**
 * dm_live_bitmap_clear_range_slowly - as dm_live_bitmap_clear_range(), of any range
 * Context: may sleep.
 */
u64 dm_live_bitmap_clear_range_slowly(struct dm_live_bitmap *bitmap, u64 block,
				      u64 nr);

/**
 * dm_live_bitmap_reset - clear all bits
 *
 * Faster than dm_live_bitmap_clear_range_slowly(), but nobody else may use the bitmap
 * meanwhile. The dirty flags of all pages that may have had a set bit are set.
 * Context: may sleep.
 */
void dm_live_bitmap_reset(struct dm_live_bitmap *bitmap);

/**
 * dm_live_bitmap_renew - make it as dm_live_bitmap_create() returned it
 *
 * All bits and all dirty flags are clear. Nobody else may use the bitmap meanwhile.
 * Context: may sleep.
 */
void dm_live_bitmap_renew(struct dm_live_bitmap *bitmap);

/** dm_live_bitmap_nr_pages - number of pages (and dirty flags) */
u64 dm_live_bitmap_nr_pages(const struct dm_live_bitmap *bitmap);

/**
 * dm_live_bitmap_next_dirty - first page at or after @page with the dirty flag
 * Return: its number, or dm_live_bitmap_nr_pages() when there is none.
 */
u64 dm_live_bitmap_next_dirty(const struct dm_live_bitmap *bitmap, u64 page);

/** dm_live_bitmap_is_dirty - does @page have the dirty flag? */
bool dm_live_bitmap_is_dirty(const struct dm_live_bitmap *bitmap, u64 page);

/** dm_live_bitmap_mark_dirty - set the dirty flag of @page */
void dm_live_bitmap_mark_dirty(struct dm_live_bitmap *bitmap, u64 page);

/**
 * dm_live_bitmap_stage_page - clear the dirty flag of @page, then copy it
 * @dst: DM_LIVE_BITMAP_PAGE_BYTES bytes; bit N of the page is bit N % 8 of byte
 *	N / 8, on machines of either byte order
 *
 * A bit that changes during the copy is in the copy, or its page is dirty
 * again afterwards, or both. Bits past the end of the bitmap are zero.
 */
void dm_live_bitmap_stage_page(struct dm_live_bitmap *bitmap, u64 page,
			       void *dst);

/**
 * dm_live_bitmap_copy_page - copy @page; its dirty flag stays
 * @dst: as for dm_live_bitmap_stage_page()
 *
 * Each bit is as it was at some moment during the call.
 */
void dm_live_bitmap_copy_page(const struct dm_live_bitmap *bitmap, u64 page,
			      void *dst);

/**
 * dm_live_bitmap_load_page - replace the bits of @page by those at @src
 *
 * The format is that of dm_live_bitmap_stage_page(); bits past the end of the
 * bitmap are ignored. The dirty flag is not touched; the weight is kept right.
 * Nobody else may change the bits of this page meanwhile.
 */
void dm_live_bitmap_load_page(struct dm_live_bitmap *bitmap, u64 page,
			      const void *src);

#endif /* DM_LIVE_BITMAP_H */
