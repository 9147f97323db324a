// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sessions on a bitmap. From the point in time on the bitmap has a successor, which guest
 * writes set as well. The disk has the union of both until the backup is committed or
 * aborted; a crash or the end of the table leaves the union.
 *
 * Commit first flushes the origin, see track-durable.c. Then it makes the new generation
 * durable: from then on the bitmap belongs to the new backup. The union is right for that
 * too, but has more than needed. Then the bits are replaced by those of the successor, in
 * any order.
 *
 * All of this runs under cbw_track.admin, so no region is closed in the meantime.
 */
#include <linux/sched/mm.h>

#include "state.h"
#include "track-durable.h"
#include "track-record.h"
#include "track-session.h"
#include "track.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/store.h"

static void release_range(struct cbw_session *session, u64 first, u64 end)
{
	if (first >= end)
		return;
	dm_live_bitmap_clear_range(session->todo, first, end - first);
	dm_live_bitmap_clear_range(session->left, first, end - first);
	dm_live_bitmap_clear_range(session->scope, first, end - first);
}

/* Limit the scope to what the bitmap has, rounded outward to blocks. */
static void limit_scope(const struct cbw_track *track,
			const struct cbw_bitmap *bitmap,
			struct cbw_session *session)
{
	unsigned int shift = session->block_shift + SECTOR_SHIFT;
	u64 nr_bits = dm_live_bitmap_nr_blocks(bitmap->bits);
	u64 bit = 0, next, block = 0, end;

	for (;; cond_resched()) {
		bit = dm_live_bitmap_next_set(bitmap->bits, bit, nr_bits);
		if (bit == nr_bits)
			break;
		next = dm_live_bitmap_next_clear(bitmap->bits, bit, nr_bits);
		release_range(session, block, bit << bitmap->shift >> shift);
		end = min(next << bitmap->shift, track->size_bytes);
		block = ((end - 1) >> shift) + 1;
		bit = next;
	}
	release_range(session, block, session->nr_blocks);
}

/* The constructor has allocated it, unless the granularity was another one then. */
static struct dm_live_bitmap *take_successor(struct cbw_track *track, u64 nr)
{
	struct dm_live_bitmap *spare = track->spare_successor;

	track->spare_successor = NULL;
	if (spare && dm_live_bitmap_nr_blocks(spare) == nr)
		return spare;
	dm_live_bitmap_destroy(spare);
	return dm_live_bitmap_create(nr);
}

static int begin(struct cbw_track *track, struct cbw_session *session)
{
	const struct cbw_config *config = &session->config;
	struct cbw_bitmap *bitmap = cbw_track_find(track, config->bitmap);
	struct dm_live_bitmap *successor;
	struct cbw_recorders *recorders;

	/* A device in use must not stay suspended because of that. */
	if (!track->active && dm_live_store_has_failed(track->store)) {
		cbw_session_break(session, "the metadata device has failed");
		return 0;
	}
	if (!bitmap || !bitmap->recording) {
		DMERR("%s: bitmap '%s' %s", track->name, config->bitmap,
		      bitmap ? "is disabled, so it does not know what has changed" :
		      "is not on the metadata device");
		return -EINVAL;
	}
	/* This resume repeats one that failed after this. */
	if (bitmap->successor)
		return 0;
	recorders = cbw_track_alloc_recorders(track);
	if (!recorders)
		return -ENOMEM;
	successor = take_successor(track,
				   dm_live_bitmap_nr_blocks(bitmap->bits));
	if (!successor) {
		kfree(recorders);
		return -ENOMEM;
	}
	cbw_track_note_flushes(track, bitmap);
	bitmap->is_torn = false;
	WRITE_ONCE(bitmap->successor, successor);
	cbw_track_set_recorders(track, recorders);
	if (!config->bitmap_is_new)
		limit_scope(track, bitmap, session);
	return 0;
}

int cbw_track_begin(struct cbw_track *track, struct cbw_session *session)
{
	unsigned int noio;
	int r;

	/* The mapped device is suspended, so allocations must not wait for it. */
	noio = memalloc_noio_save();
	mutex_lock(&track->admin);
	r = begin(track, session);
	mutex_unlock(&track->admin);
	memalloc_noio_restore(noio);
	return r;
}

/* Clear what the successor does not have. */
static void subtract(struct cbw_bitmap *bitmap)
{
	u64 nr = dm_live_bitmap_nr_blocks(bitmap->bits);
	u64 bit = 0, next;

	for (;; cond_resched()) {
		bit = dm_live_bitmap_next_clear(bitmap->successor, bit, nr);
		if (bit == nr)
			return;
		next = dm_live_bitmap_next_set(bitmap->successor, bit, nr);
		dm_live_bitmap_clear_range(bitmap->bits, bit, next - bit);
		bit = next;
	}
}

static void add(struct cbw_bitmap *bitmap)
{
	u64 nr = dm_live_bitmap_nr_blocks(bitmap->bits);
	u64 bit = 0, next;

	for (;; cond_resched()) {
		bit = dm_live_bitmap_next_set(bitmap->successor, bit, nr);
		if (bit == nr)
			return;
		next = dm_live_bitmap_next_clear(bitmap->successor, bit, nr);
		dm_live_bitmap_set_range(bitmap->bits, bit, next - bit);
		bit = next;
	}
}

static void drop_successor(struct cbw_track *track, struct cbw_bitmap *bitmap,
			   struct cbw_recorders *recorders)
{
	struct dm_live_bitmap *successor = bitmap->successor;

	WRITE_ONCE(bitmap->successor, NULL);
	cbw_track_set_recorders(track, recorders);
	dm_live_bitmap_destroy(successor);
}

int cbw_track_abort(struct cbw_track *track, struct cbw_bitmap *bitmap)
{
	struct cbw_recorders *recorders;

	lockdep_assert_held(&track->admin);
	recorders = cbw_track_alloc_recorders(track);
	if (!recorders)
		return -ENOMEM;
	drop_successor(track, bitmap, recorders);
	return 0;
}

/* Make all that the backup has durable on the origin. */
static int settle(struct cbw_track *track, struct cbw_bitmap *bitmap,
		  const char **why)
{
	int r = cbw_track_flush_origin(track);

	*why = "the origin cannot be flushed: it may lose what the backup has";
	if (!r && cbw_track_lost_data(track, bitmap)) {
		*why = "a flush of the origin failed during the session: abort, and back up again";
		r = -EIO;
	}
	return r;
}

int cbw_track_commit(struct cbw_track *track, struct cbw_bitmap *bitmap,
		     u64 generation, const char **why)
{
	struct cbw_recorders *recorders;
	int r;

	lockdep_assert_held(&track->admin);
	if (bitmap->is_torn) {
		*why = "changes were not tracked during the session: abort, and back up again";
		return -EIO;
	}
	r = settle(track, bitmap, why);
	if (r)
		return r;
	recorders = cbw_track_alloc_recorders(track);
	r = recorders ? cbw_track_set_generation(track, bitmap, generation) :
			-ENOMEM;
	if (r) {
		kfree(recorders);
		*why = r == -EOPNOTSUPP ?
		       "the metadata device has no generations: run dmlive meta prepare" :
		       r == -ENOSPC ? "there is no room for more generations" :
		       r == -ENOMEM ? "out of memory" :
		       "the metadata cannot be written";
		return r;
	}
	/* Crash: the union belongs to the new backup. */
	if (!bitmap->keep_bits && !cbw_track_lost_data(track, bitmap))
		subtract(bitmap);
	/*
	 * A write may have set its bit in the bitmap before the bit was cleared there,
	 * and in the successor after subtract() read that. Its region is open, and is
	 * not closed before this is complete.
	 */
	synchronize_rcu();
	add(bitmap);
	drop_successor(track, bitmap, recorders);
	r = blk_status_to_errno(dm_live_store_commit_wait(track->store));
	if (r)
		*why = "the metadata cannot be written";
	return r;
}
