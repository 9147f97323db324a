/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_FILL_H
#define DM_ALLOCTRACK_FILL_H

/* The one primitive that makes a range allocated. */

#include "alloctrack.h"
#include "blocks.h"
#include "dm-live/copier.h"

/* Bytes that one fill moves, unless a block is larger than this. */
#define AT_FILL_BYTES		1048576u

/* Maximum number of blocks in one fill, at least 1. */
static inline u64 at_fill_blocks(const struct at_device *device)
{
	u64 nr = at_sector_to_block(device, AT_FILL_BYTES >> SECTOR_SHIFT);

	return max_t(u64, nr, 1);
}

/**
 * at_fill - write the content of the backing to the volume
 * @table: the active table
 * @first: first block
 * @nr: number of blocks; with @data at most at_fill_blocks()
 * @data: the content, or NULL for zeros
 * @changed_blocks: out: how many became allocated, or NULL
 *
 * Locks the blocks, writes those that are not allocated and sets their bits: all
 * of them or, after an error, none. Blocks that are already allocated are skipped.
 *
 * Context: may sleep; the caller holds no range lock.
 * Return: 0 or the error of the volume.
 */
blk_status_t at_fill(struct at_table *table, u64 first, u64 nr,
		     const struct dm_live_data *data, u64 *changed_blocks);

/**
 * at_zero_for_guest - a discard or write-zeroes of whole blocks
 * @flags: 0 or REQ_NOUNMAP
 *
 * Zeroes all of the blocks, allocated or not, and sets their bits. Context: as
 * at_fill().
 */
blk_status_t at_zero_for_guest(struct at_table *table, u64 first, u64 nr,
			       blk_opf_t flags);

/**
 * struct at_copy_result - result of at_copy()
 * @read_status: status of the backing
 * @write_status: status of the volume
 * @changed_blocks: number of blocks that became allocated
 */
struct at_copy_result {
	blk_status_t read_status;
	blk_status_t write_status;
	u64 changed_blocks;
};

/**
 * at_copy - copy blocks from the backing device to the volume
 * @nr: at most at_fill_blocks()
 * @reader: a guest read within these blocks, completed as soon as the data have
 *	been read, or NULL
 *
 * Context: as at_fill(); the caller holds no buffer of the copier.
 */
void at_copy(struct at_table *table, u64 first, u64 nr, struct bio *reader,
	     struct at_copy_result *result);

#endif /* DM_ALLOCTRACK_FILL_H */
