/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_BLOCKS_H
#define DM_ALLOCTRACK_BLOCKS_H

/* Blocks and sectors of a device. */

#include "alloctrack.h"

static inline sector_t at_block_to_sector(const struct at_device *device,
					  u64 block)
{
	return block << device->geometry.block_shift;
}

static inline u64 at_sector_to_block(const struct at_device *device,
				     sector_t sector)
{
	return sector >> device->geometry.block_shift;
}

static inline sector_t at_block_sectors(const struct at_device *device)
{
	return (sector_t)1 << device->geometry.block_shift;
}

/* Where the blocks before @end end: the last block of the device may be short. */
static inline sector_t at_end_sector(const struct at_device *device, u64 end)
{
	return min(at_block_to_sector(device, end),
		   device->geometry.nr_sectors);
}

/* Sectors in @nr blocks from @first. */
static inline sector_t at_range_sectors(const struct at_device *device,
					u64 first, u64 nr)
{
	return at_end_sector(device, first + nr) -
	       at_block_to_sector(device, first);
}

#endif /* DM_ALLOCTRACK_BLOCKS_H */
