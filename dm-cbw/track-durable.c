// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rule for clearing bits: a bit is cleared only when the data that it stood for is
 * durable on the origin. Otherwise the origin could lose this data in a power failure,
 * return to its former content, and differ in a block whose bit is clear.
 *
 * Commit: all that was written before the point in time had completed by then, and one
 * flush after that makes it durable. A device reports lost data in one flush only, which
 * may be ours or the guest's. So a session during which any flush failed cannot be
 * committed. If a flush had failed before the session, the origin may return data from a
 * cache that is not on its medium, until it is attached again: then a commit clears no
 * bits.
 *
 * Clear: a flush makes durable what has completed before it. Writes in flight are in
 * open regions, which recovery adds. So after a clear, regions are closed and the device
 * is suspended only after another flush; if that fails, all blocks count as changed.
 *
 * All other changes only set bits. Closing regions clears no bits in the bitmaps.
 */
#include <linux/blkdev.h>

#include "track-durable.h"
#include "track.h"
#include "dm-live/core/bitmap.h"

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
		/* Otherwise regions that stay open may still have such writes. */
		if (r || is_idle)
			bitmap->cleared = false;
	}
}
