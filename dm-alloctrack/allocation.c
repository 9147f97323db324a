// SPDX-License-Identifier: GPL-2.0-only
/*
 * The allocation bitmap in memory: how blocks become allocated, and what that
 * sets off.
 *
 * While the store is active, each change is bracketed by
 * dm_live_store_begin_change() and dm_live_store_end_change(): see there.
 */
#include "allocation.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/store.h"

bool at_is_full(const struct at_device *device)
{
	return dm_live_bitmap_weight(device->bitmap) ==
	       device->geometry.nr_blocks;
}

/*
 * Between begin and end, preemption is off and commits wait, so a large range from a
 * server is set piece by piece.
 */
static u64 set_durable_bits(struct at_table *table, u64 first, u64 nr)
{
	u64 end = first + nr, piece, changed = 0;

	for (; first < end; first = piece) {
		piece = dm_live_bitmap_piece_end(first, end);
		dm_live_store_begin_change(table->store);
		changed += dm_live_bitmap_set_range(table->device->bitmap,
						    first, piece - first);
		dm_live_store_end_change(table->store);
	}
	dm_live_store_changed(table->store);
	return changed;
}

void at_complete_if_full(struct at_table *table)
{
	if (at_is_full(table->device))
		queue_work(table->fill_wq, &table->complete_work);
}

u64 at_set_allocated(struct at_table *table, u64 first, u64 nr)
{
	struct at_device *device = table->device;
	u64 changed;

	changed = table->store_active ?
		  set_durable_bits(table, first, nr) :
		  dm_live_bitmap_set_range(device->bitmap, first, nr);
	if (changed)
		at_complete_if_full(table);
	return changed;
}

void at_raise_event(struct at_table *table)
{
	queue_work(table->submit_wq, &table->event_work);
}
