/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_DOUBT_H
#define DM_ALLOCTRACK_DOUBT_H

/* What a failed flush of the file may have lost. */

#include "alloctrack.h"
#include "dm-live/bitmap.h"

static inline bool at_is_doubtful(const struct at_device *device)
{
	return READ_ONCE(device->doubt) == AT_DOUBTFUL;
}

/** at_doubt_begin_fill - blocks are about to be written. Any context. */
void at_doubt_begin_fill(struct at_device *device);

/** at_doubt_end_fill - they are; @wrote: and there was something to write, well */
void at_doubt_end_fill(struct at_device *device, bool wrote);

/** at_doubt_mark - what a flush that begins now makes durable. Any context. */
u64 at_doubt_mark(const struct at_device *device);

/** at_doubt_mark_flushed - what was durable before it began. Any context. */
u64 at_doubt_mark_flushed(const struct at_device *device);

/** at_doubt_flushed - it has succeeded. Any context. */
void at_doubt_flushed(struct at_device *device, u64 mark);

/**
 * at_doubt_failed - a flush has failed, whosever it was
 * @flushed: at_doubt_mark_flushed() when it was issued
 * Context: any.
 */
void at_doubt_failed(struct at_table *table, u64 flushed);

/**
 * at_doubt_flush - flush the file
 * Context: may sleep. Return: 0, or an errno, also while the device is doubtful.
 */
int at_doubt_flush(struct at_table *table);

/**
 * at_doubt_end - all blocks are allocated, and a flush after that has succeeded
 * Context: may sleep. Return: 0, or -EIO when another flush has failed.
 */
int at_doubt_end(struct at_device *device);

/** at_doubt_settle - before the resume: take back what may be lost */
void at_doubt_settle(struct at_table *table);

/** at_guest_owns - the guest's data are on their way to allocated blocks. Any context. */
static inline void at_guest_owns(struct at_device *device, u64 first, u64 end)
{
	/* The bit was set before the block was seen allocated. */
	smp_rmb();
	if (dm_live_bitmap_next_set(device->copied, first, end) != end)
		dm_live_bitmap_clear_range(device->copied, first, end - first);
}

#endif /* DM_ALLOCTRACK_DOUBT_H */
