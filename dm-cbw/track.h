/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRACK_H
#define DM_CBW_TRACK_H

/*
 * Change tracking: the bitmaps of a table's metadata device.
 *
 * The one promise: at any moment, also after a crash, a block that was written to
 * while its bitmap was recording is set in the bitmap. It may have bits too many.
 *
 * A guest write passes when all regions (of 16 MiB) that it touches are open, that is
 * when their bits in the intent bitmap are durable. In the same RCU read section it
 * sets its bits in the recording bitmaps. Else it is parked till a worker has opened
 * its regions: track-intent.c. Without an intent bitmap all writes pass, and a crash
 * sets all bits.
 *
 * Locks: cbw_track.admin (a mutex) serializes whoever changes what is recorded, and
 * is held while regions are closed; cbw_track.intent_lock (a mutex) protects the
 * intent bitmap, and is held while it is written; cbw_track.load_lock (a mutex) is held
 * while all is loaded anew. In this order. What records is found under RCU. The status
 * takes the last one only: so it is there also while the metadata device hangs.
 */

#include <linux/mutex.h>
#include <linux/rcupdate.h>

#include "cbw.h"
#include "dm-live/store.h"
#include "dm-live/store-track.h"

/**
 * struct cbw_bitmap - a bitmap of the store that is the user's
 * @name: terminated
 * @shift: log2 of the bytes that a bit stands for
 * @recording: it is attached to the store, and among the recorders
 * @bits: what stands on disk, or will
 * @successor: while a session is on it: the bits of what was written since; else NULL.
 *	All of them are set in @bits too.
 * @generation: which is durable in the store; 0: it goes with no backup
 * @flush_errors: cbw_track.flush_errors when the session began
 * @keep_bits: a flush had failed before: a commit takes no bits away
 * @is_torn: changes were not tracked during the session: it cannot be committed
 * @cleared: see track-durable.c
 *
 * All but @successor and @recording lives till all is loaded anew.
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

/** struct cbw_recorders - where guest writes set bits; never changed, replaced */
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
 * @blocked: resumed without metadata, so that no write may pass; then nothing is loaded
 * @all_unknown: valid while not @active: on disk it is durable that nobody knows what
 *	has changed
 * @may_have_lost: a flush has failed under an earlier table of the mapped device
 * @warned: that the store has no place for a seal
 * @origin_then: the origin when all was loaded; see track-gap.c, as for the next three
 * @device_then: the mapped device then
 * @since_s: when that was
 * @closed: the seal that the store should have been closed with; no flags: none
 * @bitmaps: struct cbw_bitmap, in the order of the directory; @admin
 * @spare: others, whose memory the next load uses; @admin, as the next two
 * @spare_successor: for the session that is to begin on a bitmap, or NULL
 * @spare_intent: the memory of @intent, @open and @touched, used or not
 * @recorders: RCU; replaced under @admin
 * @recovered: bits that were added since nobody knows, at the last activation
 * @flush_errors: how often a flush of the origin has failed, whoever asked for it
 * @region_shift: log2 of the bytes of a region
 * @intent: what stands on disk, or will; @intent_lock; NULL: there is none
 * @open: regions into which writes may go
 * @touched: regions that were written to since the closer looked
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

/* track.c */

/** cbw_track_bits - how many bits a bitmap has in which a bit is 1 << @shift bytes */
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
 * When the metadata device has died and the mapped device was in use, it is resumed
 * without: then the track is not active.
 */
int cbw_track_activate(struct cbw_track *track);

/** cbw_track_deactivate - after the suspend: make all durable, and close the store */
void cbw_track_deactivate(struct cbw_track *track);

/**
 * cbw_track_record - set the bits of a write if its regions are open
 * Context: any that may hold an RCU read lock. Return: false when they are not.
 */
bool cbw_track_record(struct cbw_track *track, sector_t first, sector_t nr);

/** cbw_track_emit - the last words of the status */
unsigned int cbw_track_emit(struct cbw_track *track, unsigned int sz,
			    char *result, unsigned int maxlen);

/** cbw_track_find - a bitmap by its name, or NULL; with cbw_track.admin held */
struct cbw_bitmap *cbw_track_find(struct cbw_track *track, const char *name);

/**
 * cbw_track_set_generation - change the generation of a bitmap, durably
 * With cbw_track.admin held. Return: as dm_live_store_set_generation().
 */
int cbw_track_set_generation(struct cbw_track *track, struct cbw_bitmap *bitmap,
			     u64 generation);

/**
 * cbw_track_alloc_recorders - with room for whatever the bitmaps may say
 * With cbw_track.admin held, before anything is changed. Return: NULL: no memory.
 */
struct cbw_recorders *cbw_track_alloc_recorders(struct cbw_track *track);

/**
 * cbw_track_set_recorders - have guest writes recorded as the bitmaps say now
 * @recorders: as allocated; they are the track's from now on
 * With cbw_track.admin held. When it returns, nobody uses what was there before.
 */
void cbw_track_set_recorders(struct cbw_track *track,
			     struct cbw_recorders *recorders);

/* track-load.c */

/** cbw_track_check_store - what only looking at the store can tell. Sets ti->error. */
int cbw_track_check_store(struct cbw_track *track);

/**
 * cbw_track_prepare - allocate what the next load and cbw_track_begin() need
 *
 * In the constructor, where it may fail: the store is open. Return: 0 or -ENOMEM.
 */
int cbw_track_prepare(struct cbw_track *track);

/**
 * cbw_track_load - read the store, and all its bitmaps, again; recover what is missing
 * With cbw_track.admin and load_lock held. A table that is not read-only has claimed
 * the store.
 */
int cbw_track_load(struct cbw_track *track);

/**
 * cbw_track_forgo_intent - use no intent bitmap: what it had is in the bitmaps now
 * With cbw_track.admin and load_lock held, before the store is activated.
 */
void cbw_track_forgo_intent(struct cbw_track *track);

/**
 * cbw_track_forget - nothing is loaded any more, but the memory is kept
 * With cbw_track.admin held.
 */
void cbw_track_forget(struct cbw_track *track);

/** cbw_track_free_bitmaps - nobody knows the track any more */
void cbw_track_free_bitmaps(struct cbw_track *track);

/* track-dead.c */

/** cbw_dead_may_follow - is the mapped device in use, with that metadata device? */
bool cbw_dead_may_follow(const struct cbw_track *track);

/** cbw_dead_enter - it was activated */
void cbw_dead_enter(struct cbw_track *track);

/** cbw_dead_leave - its table is being destroyed */
void cbw_dead_leave(struct cbw_track *track);

/**
 * cbw_dead_resume - the metadata device could not be read or written
 * Return: true: resume without it; what may be written is settled. False: it is the
 * first table, so that the resume had better fail.
 */
bool cbw_dead_resume(struct cbw_track *track);

/* track-durable.c */

/** cbw_track_flush_failed - a flush of the origin has failed. Any context. */
void cbw_track_flush_failed(struct cbw_track *track);

/**
 * cbw_track_flush_origin - make durable what the guest has written
 *
 * With cbw_track.admin held, which no guest I/O waits for. Sleeps, for as long as the
 * origin takes. Return: 0, or an error, which is logged: then no bit may be cleared.
 */
int cbw_track_flush_origin(struct cbw_track *track);

/** cbw_track_note_flushes - a session on the bitmap begins */
void cbw_track_note_flushes(struct cbw_track *track, struct cbw_bitmap *bitmap);

/** cbw_track_lost_data - has a flush of the origin failed since the session began? */
bool cbw_track_lost_data(const struct cbw_track *track,
			 const struct cbw_bitmap *bitmap);

/**
 * cbw_track_settle_clears - before regions are closed
 * @is_idle: no write is under way
 * With cbw_track.admin held. Sets bits if need be; they are to be made durable then.
 */
void cbw_track_settle_clears(struct cbw_track *track, bool is_idle);

/* track-message.c */

/** cbw_track_message - a message that begins with "bitmap" or "backup" */
int cbw_track_message(struct cbw_table *table, unsigned int argc, char **argv);

/* track-session.c */

/**
 * cbw_track_begin - a session on a bitmap begins; no I/O is under way
 *
 * What is recorded from now on is in the successor too. Unless the session begins a
 * new bitmap, its scope becomes what the bitmap has.
 */
int cbw_track_begin(struct cbw_track *track, struct cbw_session *session);

/**
 * cbw_track_commit - the backup is complete: the bitmap becomes its successor
 * @generation: which the backup has recorded
 * With cbw_track.admin held. Return: 0; an errno with *@why set.
 */
int cbw_track_commit(struct cbw_track *track, struct cbw_bitmap *bitmap,
		     u64 generation, const char **why);

/** cbw_track_abort - it is not: the bitmap has all. With cbw_track.admin held. */
int cbw_track_abort(struct cbw_track *track, struct cbw_bitmap *bitmap);

/* track-gap.c */

/**
 * cbw_gap_close - is there a gap in what was recorded? Then all blocks count as changed
 *
 * With all loaded, before the store is activated; but it is claimed, since generations
 * go from it at once. With cbw_track.admin held.
 */
int cbw_gap_close(struct cbw_track *track);

/**
 * cbw_gap_seal - record how the devices are, for who uses the store next
 * No I/O is under way. Before the store is deactivated. With cbw_track.admin held.
 */
void cbw_gap_seal(struct cbw_track *track);

/* track-intent.c */

/** cbw_intent_init - for a new table */
void cbw_intent_init(struct cbw_track *track);

/** cbw_intent_is_open - are the regions of [first, end), in bytes, all open? RCU. */
bool cbw_intent_is_open(struct cbw_track *track, u64 first, u64 end);

/** cbw_intent_park - keep the write till its regions are open. Any context. */
void cbw_intent_park(struct cbw_track *track, struct bio *bio);

/** cbw_intent_start - the store is active: close regions that are not used */
void cbw_intent_start(struct cbw_track *track);

/** cbw_intent_stop - no I/O is left: nothing works on its own any more */
void cbw_intent_stop(struct cbw_track *track);

#endif /* DM_CBW_TRACK_H */
