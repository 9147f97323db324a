/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_ALLOCATION_H
#define DM_ALLOCTRACK_ALLOCATION_H

/* The allocation bitmap of a device, in memory. */

#include "alloctrack.h"
#include "dm-live/core/bitmap.h"

/** at_all_allocated - are all blocks of [first, end) allocated? Any context. */
static inline bool at_all_allocated(const struct at_device *device, u64 first,
				    u64 end)
{
	return dm_live_bitmap_next_clear(device->bitmap, first, end) == end;
}

/**
 * at_set_allocated - mark blocks as allocated
 *
 * Call it only after all @nr blocks from @first have been written successfully.
 *
 * Context: any. Return: how many were not allocated before.
 */
u64 at_set_allocated(struct at_table *table, u64 first, u64 nr);

/** at_is_full - are all blocks allocated? Any context. */
bool at_is_full(const struct at_device *device);

/** at_complete_if_full - if so, have a worker complete the job. Any context. */
void at_complete_if_full(struct at_table *table);

/** at_raise_event - raise a device-mapper event, soon. Any context. */
void at_raise_event(struct at_table *table);

#endif /* DM_ALLOCTRACK_ALLOCATION_H */
