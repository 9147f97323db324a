// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rule for bits that go: a bit is cleared only when the data that it stood for are
 * durable on the origin. Otherwise the origin may lose these data with its power, show
 * again what it had before, and differ in a block of which no bit says so.
 *
 * Commit: all that was written before the point in time has completed by then, and one
 * flush after that makes it durable. A device reports data that it lost in one flush
 * only, be it ours or the guest's: so a session during which any flush has failed cannot
 * be committed. When one had failed before, the origin may show data that it does
 * not have, until it is attached again: the commit takes no bit away.
 *
 * Clear: a flush makes durable what had completed before. What is under way lies in
 * regions that are open, all of which recovery adds. So after a clear, regions are
 * closed, and the device is suspended, only after another flush; when that fails, all
 * blocks count as changed.
 *
 * The other changes only set bits. Closing regions takes no bit from the bitmaps.
 */
#include <linux/blkdev.h>

#include "track-durable.h"
#include "track.h"
#include "dm-live/bitmap.h"

void cbw_track_flush_failed(struct cbw_track *track)
{
	atomic_inc(&track->flush_errors);
}

int cbw_track_flush_origin(struct cbw_track *track)
{
	int r = blkdev_issue_flush(track->table->origin->bdev);

	if (r) {
		DMERR("%s: the origin cannot be flushed: error %d: no bits are cleared",
		      track->name, r);
		cbw_track_flush_failed(track);
	}
	return r;
}

void cbw_track_note_flushes(struct cbw_track *track, struct cbw_bitmap *bitmap)
{
	bitmap->flush_errors = atomic_read(&track->flush_errors);
	bitmap->keep_bits = track->may_have_lost || bitmap->flush_errors;
}

bool cbw_track_lost_data(const struct cbw_track *track,
			 const struct cbw_bitmap *bitmap)
{
	return bitmap->flush_errors != atomic_read(&track->flush_errors);
}

static bool any_cleared(const struct cbw_track *track)
{
	const struct cbw_bitmap *bitmap;

	list_for_each_entry(bitmap, &track->bitmaps, link)
		if (bitmap->cleared && bitmap->recording)
			return true;
	return false;
}

static void set_all(const struct cbw_track *track, struct cbw_bitmap *bitmap)
{
	DMERR("%s: bitmap '%s': all blocks count as changed: the origin may have lost changes that were cleared",
	      track->name, bitmap->name);
	dm_live_bitmap_set_range(bitmap->bits, 0,
				 dm_live_bitmap_nr_blocks(bitmap->bits));
}

void cbw_track_settle_clears(struct cbw_track *track, bool is_idle)
{
	struct cbw_bitmap *bitmap;
	int r;

	lockdep_assert_held(&track->admin);
	if (!any_cleared(track))
		return;
	r = cbw_track_flush_origin(track);
	list_for_each_entry(bitmap, &track->bitmaps, link) {
		if (r && bitmap->cleared && bitmap->recording)
			set_all(track, bitmap);
		/* Regions that stay open may have more of what was under way. */
		if (r || is_idle)
			bitmap->cleared = false;
	}
}
