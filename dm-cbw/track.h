/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_H
#define DM_CBW_TRACK_H

/*
 * Change tracking: the bitmaps of a table's metadata device.
 *
 * The promise: a block that was written to while a bitmap was recording is set in that
 * bitmap, at any time and also after a crash. The bitmap may have more bits than that.
 *
 * A guest write passes if all regions (of 16 MiB) that it touches are open, that is, if
 * their bits in the intent bitmap are durable. In the same RCU read section it sets its
 * bits in the recording bitmaps. Otherwise it is parked until a worker has opened its
 * regions: track-intent.c. Without an intent bitmap all writes pass, and after a crash
 * all bits are set.
 *
 * Locks, in this order: cbw_track.admin (a mutex) serializes changes of what is recorded,
 * and is held while regions are closed; cbw_track.intent_lock (a mutex) protects the
 * intent bitmap, and is held while it is written; cbw_track.load_lock (a mutex) is held
 * while the store is loaded. The recorders are found under RCU. The status takes only
 * the last lock, so that it can be read while the metadata device hangs.
 */

#include <linux/mutex.h>
#include <linux/rcupdate.h>

#include "cbw.h"
#include "dm-live/store.h"
#include "dm-live/store-track.h"

/**
 * struct cbw_bitmap - a user's bitmap in the store
 * @name: NUL-terminated
 * @shift: log2 of the bytes that a bit stands for
 * @recording: it is attached to the store, and among the recorders
 * @bits: what is on disk, or will be
 * @successor: while a session uses the bitmap: what was written since the session began;
 *	else NULL. All its bits are set in @bits too.
 * @generation: the durable generation in the store; 0: it belongs to no backup
 * @flush_errors: cbw_track.flush_errors when the session began
 * @keep_bits: a flush had failed before, so a commit clears no bits
 * @is_torn: changes were not tracked during the session, so it cannot be committed
 * @cleared: see track-durable.c
 *
 * All but @successor and @recording stay the same until the store is loaded again.
 */
struct cbw_bitmap {
	struct list_head link;
	char *name;
	unsigned int shift;
	bool recording;
	struct dm_live_bitmap *bits;
	struct dm_live_bitmap *successor;
	u64 generation;
	unsigned int flush_errors;
	bool keep_bits;
	bool is_torn;
	bool cleared;
};

/** struct cbw_recorders - where guest writes set bits; replaced, never modified */
struct cbw_recorders {
	unsigned int nr;
	struct cbw_recorder {
		unsigned int shift;
		struct dm_live_bitmap *bits;
	} list[];
};

/**
 * struct cbw_track - change tracking of one table
 * @link: see track-dead.c
 * @active: between preresume and postsuspend of a table that is not read-only
 * @blocked: resumed without metadata: no write may pass, and nothing is loaded
 * @all_unknown: valid while not @active: the store on disk says that all blocks count as
 *	changed
 * @may_have_lost: a flush has failed under an earlier table of the mapped device
 * @warned: the warning that the store has no place for a seal was given
 * @origin_then: the origin when the store was loaded; see track-gap.c, also for the next
 *	three
 * @device_then: the mapped device at that time
 * @since_s: that time
 * @closed: the seal that the store should have been closed with; no flags: none
 * @bitmaps: struct cbw_bitmap, in the order of the directory; @admin
 * @spare: bitmaps whose memory the next load uses; @admin, also for the next two
 * @spare_successor: for the session that will begin on a bitmap, or NULL
 * @spare_intent: the memory of @intent, @open and @touched, used or not
 * @recorders: RCU; replaced under @admin
 * @recovered: bits that the recovery added at the last activation
 * @flush_errors: number of failed flushes of the origin, the guest's and others
 * @region_shift: log2 of the bytes of a region
 * @intent: what is on disk, or will be; @intent_lock; NULL: there is no intent bitmap
 * @open: regions into which writes may go
 * @touched: regions that were written to since close_work() looked
 * @lock: protects @parked
 * @parked: writes that wait for their regions
 */
struct cbw_track {
	struct cbw_table *table;
	const char *name;
	struct dm_live_store *store;
	struct list_head link;
	bool read_only;
	bool active;
	bool blocked;
	bool all_unknown;
	bool may_have_lost;
	bool warned;
	u64 size_bytes;
	struct qcow2_seal_device origin_then;
	struct qcow2_seal_device device_then;
	u64 since_s;
	struct qcow2_seal closed;

	struct mutex admin;	/* see above */
	struct list_head bitmaps;
	struct list_head spare;
	struct dm_live_bitmap *spare_successor;
	struct dm_live_bitmap *spare_intent[3];
	struct cbw_recorders __rcu *recorders;
	u64 recovered;
	atomic_t flush_errors;
	struct mutex load_lock;	/* see above */

	struct mutex intent_lock;	/* see above */
	unsigned int region_shift;
	struct dm_live_bitmap *intent;
	struct dm_live_bitmap *open;
	struct dm_live_bitmap *touched;

	spinlock_t lock;	/* see above */
	struct bio_list parked;

	struct workqueue_struct *wq;
	struct work_struct open_work;
	struct delayed_work close_work;
	struct work_struct event_work;
};

/** cbw_track_bits - number of bits in a bitmap with 1 << @shift bytes for each bit */
static inline u64 cbw_track_bits(const struct cbw_track *track,
				 unsigned int shift)
{
	return ((track->size_bytes - 1) >> shift) + 1;
}

/**
 * cbw_track_open - open the metadata device of a table that is being constructed
 * Return: 0, or an errno with ti->error set.
 */
int cbw_track_open(struct cbw_table *table);

/** cbw_track_close - NULL is ignored */
void cbw_track_close(struct cbw_track *track);

/**
 * cbw_track_activate - before the resume: load, recover, and record from now on
 *
 * If the metadata device has failed and the mapped device was in use, it is resumed
 * without metadata, and the track is not active.
 */
int cbw_track_activate(struct cbw_track *track);

/** cbw_track_deactivate - after the suspend: make all durable, and close the store */
void cbw_track_deactivate(struct cbw_track *track);

/** cbw_track_emit - the last part of the status */
unsigned int cbw_track_emit(struct cbw_track *track, unsigned int sz,
			    char *result, unsigned int maxlen);

#endif /* DM_CBW_TRACK_H */
