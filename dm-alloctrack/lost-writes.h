/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_LOST_WRITES_H
#define DM_ALLOCTRACK_LOST_WRITES_H

/* What a failed flush of the volume may have lost. */

#include "alloctrack.h"
#include "dm-live/core/bitmap.h"

/** at_is_in_doubt - may copies be lost? Any context. */
static inline bool at_is_in_doubt(const struct at_device *device)
{
	return READ_ONCE(device->in_doubt) == AT_IN_DOUBT;
}

/** at_fill_begins - a fill is about to write. Any context. */
void at_fill_begins(struct at_device *device);

/** at_fill_ends - it has ended; @wrote: it wrote something, without an error */
void at_fill_ends(struct at_device *device, bool wrote);

/** at_flush_mark - how many fills a flush that begins now makes durable. Any context. */
u64 at_flush_mark(const struct at_device *device);

/** at_durable_mark - how many fills are known to be durable. Any context. */
u64 at_durable_mark(const struct at_device *device);

/** at_flush_succeeded - a flush has; @mark: at_flush_mark() before it. Any context. */
void at_flush_succeeded(struct at_device *device, u64 mark);

/**
 * at_flush_failed - a flush of the volume has failed, no matter who issued it
 * @flushed: at_durable_mark() when it was issued
 * Context: any.
 */
void at_flush_failed(struct at_table *table, u64 flushed);

/**
 * at_flush_volume - flush the volume
 * Context: may sleep. Return: 0 or a negative errno; -EIO while copies are in doubt.
 */
int at_flush_volume(struct at_table *table);

/**
 * at_rule_out_loss - all blocks are allocated, and were flushed after that
 * Context: may sleep. Return: 0, or -EIO when another flush has failed.
 */
int at_rule_out_loss(struct at_device *device);

/**
 * at_settle_lost_writes - take back what may be lost
 *
 * Not for a table whose metadata failed: without them copies stay in doubt.
 *
 * Context: preresume, after at_meta_activate(); may sleep.
 * Return: true when copies were in doubt: then the caller rewinds the job.
 */
bool at_settle_lost_writes(struct at_table *table);

/** at_guest_owns - the guest writes to these allocated blocks. Any context. */
static inline void at_guest_owns(struct at_device *device, u64 first, u64 end)
{
	/* Partner: mark_copied() sets the bit before the block becomes allocated. */
	smp_rmb();
	if (dm_live_bitmap_next_set(device->copied, first, end) != end)
		dm_live_bitmap_clear_range(device->copied, first, end - first);
}

#endif /* DM_ALLOCTRACK_LOST_WRITES_H */
