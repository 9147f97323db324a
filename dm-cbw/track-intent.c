// SPDX-License-Identifier: GPL-2.0-only
/*
 * The intent bitmap: regions that may have changes which are in no durable bitmap.
 *
 * A region is open when its bit is durable. To open it, the bit is set, written and
 * flushed. Writes wait for that; all that wait share one write and one flush.
 *
 * A region that was idle for a while is closed as follows:
 *  (a) it is marked as not open, so that new writes take the slow path;
 *  (b) after an RCU grace period all writes that had passed have set their bits;
 *  (c) all recording bitmaps are made durable; if bits were cleared, the data on the
 *      origin before them, see track-durable.c;
 *  (d) only then the bit is cleared on disk, unless the region was opened again.
 * After a crash before the end of (d), the bit is set, or the bits of (c) are durable:
 * there may be too many, never too few. So a flush of the guest does not depend on the
 * metadata: if a write has reached the disk, its bits are durable or its region is open.
 *
 * A bit that is set in memory is durable whenever intent_lock is free, or the store has
 * failed. So a region whose bit is still set is opened again without I/O.
 */
#include <linux/blkdev.h>

#include "io.h"
#include "track-durable.h"
#include "track-intent.h"
#include "track.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/store-track.h"
#include "dm-live/store.h"

/* Regions are closed when they were not written to for one to two periods. */
#define CLOSE_PERIOD	(5 * HZ)

static void regions_of(const struct cbw_track *track, const struct bio *bio,
		       u64 *first, u64 *nr)
{
	u64 start = (u64)bio->bi_iter.bi_sector << SECTOR_SHIFT;
	u64 end = start + bio->bi_iter.bi_size;

	*first = start >> track->region_shift;
	*nr = ((end - 1) >> track->region_shift) - *first + 1;
}

/* Make the intent durable, and open the regions of all these writes. */
static int open_regions(struct cbw_track *track, struct bio_list *bios)
{
	u64 first, nr, changed = 0;
	struct bio *bio;
	int r;

	lockdep_assert_held(&track->intent_lock);
	if (dm_live_store_has_failed(track->store))
		return -EIO;
	bio_list_for_each(bio, bios) {
		regions_of(track, bio, &first, &nr);
		changed += dm_live_bitmap_set_range(track->intent, first, nr);
	}
	if (changed) {
		r = dm_live_store_write(track->store, track->intent);
		if (r)
			return r;
		/* Crash: these regions count as changed, and nothing was written. */
	}
	bio_list_for_each(bio, bios) {
		regions_of(track, bio, &first, &nr);
		dm_live_bitmap_set_range(track->touched, first, nr);
		dm_live_bitmap_set_range(track->open, first, nr);
	}
	return 0;
}

static void fail_bios(struct cbw_track *track, struct bio_list *bios)
{
	struct bio *bio;

	DMERR_LIMIT("%s: a write fails: that it changes the device cannot be recorded",
		    track->name);
	while ((bio = bio_list_pop(bios))) {
		/* It was never submitted, so no flush has failed, see cbw_end_io(). */
		bio->bi_opf &= ~(REQ_PREFLUSH | REQ_FUA);
		bio_io_error(bio);
	}
}

static void open_work(struct work_struct *work)
{
	struct cbw_track *track = container_of(work, struct cbw_track,
					       open_work);
	struct bio_list bios;
	struct blk_plug plug;
	struct bio *bio;
	int r;

	spin_lock_irq(&track->lock);
	bios = track->parked;
	bio_list_init(&track->parked);
	spin_unlock_irq(&track->lock);
	if (bio_list_empty(&bios))
		return;

	mutex_lock(&track->intent_lock);
	r = open_regions(track, &bios);
	mutex_unlock(&track->intent_lock);
	if (r) {
		fail_bios(track, &bios);
		return;
	}
	queue_delayed_work(track->wq, &track->close_work, CLOSE_PERIOD);
	blk_start_plug(&plug);
	while ((bio = bio_list_pop(&bios)))
		cbw_map_again(track->table, bio);
	blk_finish_plug(&plug);
}

/* Step (a). Returns the number of regions to be closed. */
static u64 shut_idle(struct cbw_track *track)
{
	u64 nr_regions = dm_live_bitmap_nr_blocks(track->intent);
	u64 region, nr = 0;

	mutex_lock(&track->intent_lock);
	for (region = dm_live_bitmap_next_set(track->intent, 0, nr_regions);
	     region < nr_regions;
	     region = dm_live_bitmap_next_set(track->intent, region + 1,
					      nr_regions)) {
		if (dm_live_bitmap_test(track->open, region) &&
		    dm_live_bitmap_clear_range(track->touched, region, 1))
			continue;
		dm_live_bitmap_clear_range(track->open, region, 1);
		nr++;
	}
	mutex_unlock(&track->intent_lock);
	return nr;
}

/* Step (d): of all regions that are not open (again). */
static void clear_shut(struct cbw_track *track)
{
	u64 nr_regions = dm_live_bitmap_nr_blocks(track->intent);
	u64 region;

	mutex_lock(&track->intent_lock);
	for (region = dm_live_bitmap_next_set(track->intent, 0, nr_regions);
	     region < nr_regions;
	     region = dm_live_bitmap_next_set(track->intent, region + 1,
					      nr_regions))
		if (!dm_live_bitmap_test(track->open, region))
			dm_live_bitmap_clear_range(track->intent, region, 1);
	dm_live_store_write(track->store, track->intent);
	mutex_unlock(&track->intent_lock);
}

static void close_work(struct work_struct *work)
{
	struct cbw_track *track = container_of(to_delayed_work(work),
					       struct cbw_track, close_work);

	mutex_lock(&track->admin);
	if (shut_idle(track)) {
		synchronize_rcu();
		cbw_track_settle_clears(track, false);
		if (!dm_live_store_commit_wait(track->store))
			clear_shut(track);
	}
	mutex_unlock(&track->admin);
	if (dm_live_bitmap_weight(track->intent) &&
	    !dm_live_store_has_failed(track->store))
		queue_delayed_work(track->wq, &track->close_work, CLOSE_PERIOD);
}

void cbw_intent_start(struct cbw_track *track)
{
	/* The regions that a crash left are durable in the bitmaps now. */
	if (track->intent && dm_live_bitmap_weight(track->intent))
		queue_delayed_work(track->wq, &track->close_work, 0);
}

void cbw_intent_stop(struct cbw_track *track)
{
	flush_work(&track->open_work);
	cancel_delayed_work_sync(&track->close_work);
	mutex_lock(&track->admin);
	cbw_track_settle_clears(track, true);
	mutex_unlock(&track->admin);
	/* Regions may be closed only when the bitmaps are durable. */
	if (!track->intent || dm_live_store_commit_wait(track->store))
		return;
	dm_live_bitmap_clear_range(track->open, 0,
				   dm_live_bitmap_nr_blocks(track->open));
	clear_shut(track);
}

void cbw_intent_init(struct cbw_track *track)
{
	mutex_init(&track->intent_lock);
	spin_lock_init(&track->lock);
	bio_list_init(&track->parked);
	INIT_WORK(&track->open_work, open_work);
	INIT_DELAYED_WORK(&track->close_work, close_work);
}
