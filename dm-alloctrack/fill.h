/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_FILL_H
#define DM_ALLOCTRACK_FILL_H

/* The one primitive that makes a range allocated. */

#include "alloctrack.h"
#include "blocks.h"
#include "dm-live/copier.h"

/* Bytes that one fill moves, unless a block is larger. */
#define AT_FILL_BYTES		1048576u

/* Blocks that one fill covers at the most, at least 1. */
static inline u64 at_fill_blocks(const struct at_device *device)
{
	u64 nr = at_sector_to_block(device, AT_FILL_BYTES >> SECTOR_SHIFT);

	return max_t(u64, nr, 1);
}

/**
 * at_fill - put the content of the backing on the volume
 * @table: the active table
 * @first: first block
 * @nr: number of blocks; with @data at most at_fill_blocks()
 * @data: the content, or NULL for zeros
 * @changed_blocks: out: how many became allocated, or NULL
 *
 * Locks the blocks, writes those that are not allocated, sets their bits. All
 * of them or none. Blocks that are allocated by then are skipped.
 *
 * Context: may sleep, holds no range lock.
 * Return: 0 or what the volume said.
 */
blk_status_t at_fill(struct at_table *table, u64 first, u64 nr,
		     const struct dm_live_data *data, u64 *changed_blocks);

/**
 * at_zero_for_guest - a discard or write-zeroes of whole blocks
 * @flags: 0 or REQ_NOUNMAP
 *
 * Zeroes all of the blocks, allocated or not, and sets their bits.
 */
blk_status_t at_zero_for_guest(struct at_table *table, u64 first, u64 nr,
			       blk_opf_t flags);

/**
 * struct at_copy - result of at_copy()
 * @read_status: what the backing said
 * @write_status: what the volume said
 * @changed_blocks: blocks that became allocated
 */
struct at_copy_result {
	blk_status_t read_status;
	blk_status_t write_status;
	u64 changed_blocks;
};

/**
 * at_copy - copy blocks from the backing device to the volume
 * @nr: at most at_fill_blocks()
 * @reader: a read of the guest that lies within these blocks and is completed
 *	once the data are here, or NULL
 *
 * Context: as at_fill(), and holds no buffer.
 */
void at_copy(struct at_table *table, u64 first, u64 nr, struct bio *reader,
	     struct at_copy_result *result);

#endif /* DM_ALLOCTRACK_FILL_H */
