// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a failed flush of the volume may have lost.
 *
 * A device reports only once that it has lost data from its volatile cache, and not
 * which. For data that the guest wrote, the guest's own flush fails. But the guest does
 * not know what was copied from the backing. So when a flush fails, everything copied
 * since the last successful one is in doubt: no more bits become durable, and the job
 * fails or stops instead of completing, so the backing is still needed. When the device
 * is suspended and resumed, the blocks in doubt become unallocated again. This has to
 * wait until then, because only a suspended device has no I/O in flight that was routed
 * by the old bits.
 *
 * at_device.copied records these blocks. A bit is set before a copied block becomes
 * allocated, and cleared when the guest overwrites the block. A successful flush clears
 * none, since others are being set at the same time; a resume clears all of them if
 * everything was flushed. So there may be more bits than lost blocks, which costs only
 * the copying.
 *
 * A failed flush is judged by what was durable when it was issued. A flush that was
 * issued later but succeeded earlier proves nothing, as only the first one may have been
 * given the error. Once all blocks are allocated and flushed, nothing can be in doubt.
 */
#include <linux/blkdev.h>

#include "alloctrack.h"
#include "lost-writes.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/store.h"

void at_fill_begins(struct at_device *device)
{
	atomic_inc(&device->nr_filling);
	/* Before the data are submitted: partner in was_copied_since(). */
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
	/* Fills that are not seen here any more are seen in the count. */
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
	DMERR("%s: a flush of the volume failed and copies may be lost: suspend and resume the device",
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
	/* A concurrent flush may have been given the error instead of this one. */
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

/* The device is suspended: nothing else uses the copied bits. */
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
	/* The content of these blocks is unknown now. */
	device->volume_is_zero = false;
	device->volume_lost_writes = true;
	at_flush_succeeded(device, at_flush_mark(device));
	WRITE_ONCE(device->in_doubt, AT_NOT_IN_DOUBT);
	/*
	 * If the commit fails, some of these bits stay durable. This is safe, since they
	 * became durable after a successful flush. The next resume clears them.
	 */
	if (table->store_active)
		dm_live_store_commit_wait(table->store);
	DMWARN("%s: %llu blocks that a failed flush may have lost are unallocated again",
	       device->name, nr);
	return true;
}
