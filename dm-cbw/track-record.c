// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recording: which bitmaps guest writes set, and whether a write may pass. A write passes
 * when all its regions are open; it sets its bits in the same RCU read section. Otherwise
 * it is parked until track-intent.c has opened its regions.
 */
#include "track-record.h"
#include "track.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/store-track.h"

struct cbw_bitmap *cbw_track_find(struct cbw_track *track, const char *name)
{
	struct cbw_bitmap *bitmap;

	lockdep_assert_held(&track->admin);
	list_for_each_entry(bitmap, &track->bitmaps, link)
		if (!strcmp(bitmap->name, name))
			return bitmap;
	return NULL;
}

int cbw_track_set_generation(struct cbw_track *track, struct cbw_bitmap *bitmap,
			     u64 generation)
{
	int r;

	lockdep_assert_held(&track->admin);
	r = dm_live_store_set_generation(track->store, bitmap->name,
					 generation);
	if (!r)
		WRITE_ONCE(bitmap->generation, generation);
	return r;
}

static void add_recorder(struct cbw_recorders *recorders,
			 const struct cbw_bitmap *bitmap,
			 struct dm_live_bitmap *bits)
{
	recorders->list[recorders->nr].shift = bitmap->shift;
	recorders->list[recorders->nr].bits = bits;
	recorders->nr++;
}

struct cbw_recorders *cbw_track_alloc_recorders(struct cbw_track *track)
{
	struct cbw_recorders *recorders;
	struct cbw_bitmap *bitmap;
	unsigned int nr = 0;

	/* Each may have a successor. Small, unless there are hundreds of bitmaps. */
	list_for_each_entry(bitmap, &track->bitmaps, link)
		nr += 2;
	recorders = kmalloc(struct_size(recorders, list, nr), GFP_NOIO);
	if (recorders)
		recorders->nr = 0;
	return recorders;
}

void cbw_track_set_recorders(struct cbw_track *track, struct cbw_recorders *new)
{
	struct cbw_recorders *old;
	struct cbw_bitmap *bitmap;

	list_for_each_entry(bitmap, &track->bitmaps, link) {
		if (!bitmap->recording)
			continue;
		add_recorder(new, bitmap, bitmap->bits);
		if (bitmap->successor)
			add_recorder(new, bitmap, bitmap->successor);
	}
	old = rcu_replace_pointer(track->recorders, new,
				  lockdep_is_held(&track->admin));
	/* After that, neither the old recorders nor their bitmaps are in use. */
	synchronize_rcu();
	kfree(old);
}

void cbw_track_drop_recorders(struct cbw_track *track)
{
	struct cbw_recorders *old;

	old = rcu_replace_pointer(track->recorders, NULL,
				  lockdep_is_held(&track->admin));
	synchronize_rcu();
	kfree(old);
}

static bool is_open(struct cbw_track *track, u64 first, u64 end)
{
	u64 region = first >> track->region_shift;
	u64 last = (end - 1) >> track->region_shift;

	if (!track->intent)
		return true;
	if (dm_live_bitmap_next_clear(track->open, region, last + 1) != last + 1)
		return false;
	if (dm_live_bitmap_next_clear(track->touched, region, last + 1) !=
	    last + 1)
		dm_live_bitmap_set_range(track->touched, region,
					 last - region + 1);
	return true;
}

static void set_bits(const struct cbw_recorder *recorder, u64 start, u64 end)
{
	u64 first = start >> recorder->shift;
	u64 last = (end - 1) >> recorder->shift;

	if (dm_live_bitmap_next_clear(recorder->bits, first, last + 1) <= last)
		dm_live_bitmap_set_range(recorder->bits, first,
					 last - first + 1);
}

bool cbw_track_record(struct cbw_track *track, sector_t first, sector_t nr)
{
	u64 start = (u64)first << SECTOR_SHIFT;
	u64 end = start + ((u64)nr << SECTOR_SHIFT);
	const struct cbw_recorders *recorders;
	bool passes;
	unsigned int i;

	/*
	 * Code that closes regions or replaces recorders waits for a grace period. So a
	 * region that is found open here is not closed before the bits are set.
	 */
	if (unlikely(READ_ONCE(track->blocked)))
		return false;
	rcu_read_lock();
	recorders = rcu_dereference(track->recorders);
	passes = !recorders || is_open(track, start, end);
	if (passes && recorders)
		for (i = 0; i < recorders->nr; i++)
			set_bits(&recorders->list[i], start, end);
	rcu_read_unlock();
	return passes;
}

void cbw_track_park(struct cbw_track *track, struct bio *bio)
{
	unsigned long flags;

	spin_lock_irqsave(&track->lock, flags);
	bio_list_add(&track->parked, bio);
	spin_unlock_irqrestore(&track->lock, flags);
	queue_work(track->wq, &track->open_work);
}
