/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_ZERO_H
#define DM_ALLOCTRACK_ZERO_H

/* Zeroing blocks of the volume. */

#include "alloctrack.h"

/**
 * at_can_write_zeroes - can a range of the volume be zeroed without writing data?
 *
 * Context: any.
 */
bool at_can_write_zeroes(const struct at_table *table);

/**
 * at_zero_blocks - zero the blocks [block, end), whatever they hold
 * @flags: 0 or REQ_NOUNMAP
 *
 * Context: may sleep; the caller holds the lock of the blocks.
 * Return: 0 or the error of the volume.
 */
blk_status_t at_zero_blocks(struct at_table *table, u64 block, u64 end,
			    blk_opf_t flags);

/**
 * at_zero_unallocated - make sure that the unallocated blocks [block, end) are zero
 * @flags: 0 or REQ_NOUNMAP
 *
 * With the feature target_is_zero, only what does not read as zeros is written.
 *
 * Context: as at_zero_blocks(). The caller may hold a buffer of the table's copier.
 * Return: 0 or the error of the volume.
 */
blk_status_t at_zero_unallocated(struct at_table *table, u64 block, u64 end,
				 blk_opf_t flags);

#endif /* DM_ALLOCTRACK_ZERO_H */
