// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a failed flush of the volume may have lost.
 *
 * A device tells once that data in its volatile cache are lost, and not which. What the
 * guest wrote is the guest's concern: its flush fails. But it knows nothing of what was
 * copied from the backing. So when a flush fails, what was copied since the last one
 * that succeeded is in doubt: no bit becomes durable any more and nothing complete, so
 * the backing stays what it is needed for, and the job ends or stops. When the device is suspended and resumed, the blocks that may be concerned
 * become unallocated again: then there is no I/O that has been told otherwise.
 *
 * Which these are says at_device.copied: a bit is set before a copied block becomes
 * allocated, and cleared when the guest has the block written to. A flush that succeeds
 * clears none, as others are being set meanwhile; a resume does, when all was flushed.
 * So there may be more than was lost, which costs nothing but the copying.
 *
 * A flush that fails is compared with what was flushed when it was issued: one that was
 * issued later, and succeeds before it, says nothing of what only the first was told.
 * When all blocks are allocated and flushed, there is nothing left that could be in doubt.
 */
#include <linux/blkdev.h>

#include "alloctrack.h"
#include "lost-writes.h"
#include "dm-live/bitmap.h"
#include "dm-live/store.h"

void at_fill_begins(struct at_device *device)
{
	atomic_inc(&device->nr_filling);
	/* Before the data are on their way: partner in was_copied_since(). */
	smp_mb__after_atomic();
}

void at_fill_ends(struct at_device *device, bool wrote)
{
	if (wrote)
		atomic64_inc(&device->nr_fills);
	/* In this order: partner in was_copied_since(). */
	smp_mb__before_atomic();
	atomic_dec(&device->nr_filling);
}

/* Is there a copy that is not one of the first @flushed? */
static bool was_copied_since(const struct at_device *device, u64 flushed)
{
	if (atomic_read(&device->nr_filling))
		return true;
	/* Of those that have ended, the count is seen. */
	smp_rmb();
	return (u64)atomic64_read(&device->nr_fills) != flushed;
}

u64 at_flush_mark(const struct at_device *device)
{
	return atomic64_read(&device->nr_fills);
}

u64 at_durable_mark(const struct at_device *device)
{
	return atomic64_read(&device->nr_fills_flushed);
}

void at_flush_succeeded(struct at_device *device, u64 mark)
{
	s64 old = atomic64_read(&device->nr_fills_flushed);

	while (old < (s64)mark &&
	       !atomic64_try_cmpxchg(&device->nr_fills_flushed, &old, mark))
		;
}

void at_flush_failed(struct at_table *table, u64 flushed)
{
	struct at_device *device = table->device;

	if (!was_copied_since(device, flushed) ||
	    cmpxchg(&device->in_doubt, AT_NOT_IN_DOUBT, AT_IN_DOUBT) !=
	    AT_NOT_IN_DOUBT)
		return;
	DMERR("%s: a flush of the volume has failed, and copies may be lost: suspend and resume",
	      device->name);
	queue_work(table->fill_wq, &table->lost_writes_work);
}

int at_flush_volume(struct at_table *table)
{
	struct at_device *device = table->device;
	u64 mark = at_flush_mark(device);
	u64 flushed = at_durable_mark(device);
	int r;

	if (at_is_in_doubt(device))
		return -EIO;
	r = blkdev_issue_flush(table->volume->bdev);
	if (r)
		at_flush_failed(table, flushed);
	else
		at_flush_succeeded(device, mark);
	/* Another one may have failed: it may have told what this one did not. */
	return r ?: at_is_in_doubt(device) ? -EIO : 0;
}

int at_rule_out_loss(struct at_device *device)
{
	if (cmpxchg(&device->in_doubt, AT_NOT_IN_DOUBT, AT_NEVER_IN_DOUBT) ==
	    AT_IN_DOUBT)
		return -EIO;
	dm_live_bitmap_clear_range_slowly(device->copied, 0,
					  device->geometry.nr_blocks);
	return 0;
}

/* Of a suspended device: nobody else looks at what was copied. */
static u64 take_back(struct at_device *device)
{
	u64 nr_blocks = device->geometry.nr_blocks;
	u64 first = 0, next, nr = 0;

	for (;;) {
		first = dm_live_bitmap_next_set_slowly(device->copied, first,
						       nr_blocks);
		if (first == nr_blocks)
			break;
		next = dm_live_bitmap_next_clear_slowly(device->copied, first,
							nr_blocks);
		nr += dm_live_bitmap_clear_range_slowly(device->bitmap, first,
							next - first);
		first = next;
	}
	dm_live_bitmap_reset(device->copied);
	return nr;
}

bool at_settle_lost_writes(struct at_table *table)
{
	struct at_device *device = table->device;
	u64 nr;

	if (table->read_only)
		return false;
	if (!at_is_in_doubt(device)) {
		if (!was_copied_since(device, at_durable_mark(device)))
			dm_live_bitmap_reset(device->copied);
		return false;
	}
	nr = take_back(device);
	/* Nobody knows what is there now. */
	device->volume_is_zero = false;
	at_flush_succeeded(device, at_flush_mark(device));
	WRITE_ONCE(device->in_doubt, AT_NOT_IN_DOUBT);
	/*
	 * When that fails, more bits stay durable, which is right: they became so after
	 * a flush that succeeded. The next resume takes them away.
	 */
	if (table->store_active)
		dm_live_store_commit_wait(table->store);
	DMWARN("%s: %llu blocks that a failed flush may have lost are unallocated again",
	       device->name, nr);
	return true;
}
