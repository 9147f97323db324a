/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_CBW_H
#define DM_CBW_CBW_H

/*
 * What the files of dm-cbw share.
 *
 * A struct cbw_table is one instance of the target "cbw", that is, one table
 * line. A struct cbw_session keeps a point in time. It belongs to the table that
 * created it, begins with that table's first resume and ends when the table is
 * destroyed. A snapshot view may keep the session's memory alive for longer, but
 * then gets errors only.
 *
 * Two bitmaps give the state of a block:
 *
 *	scope	todo
 *	1	1	not copied yet: the origin still has the old data
 *	1	0	copied: the store (target or fleece device) has the old data
 *	0	0	out of scope: not needed, or not any more
 *
 * A third bitmap, left, has the blocks that the job has not written to the target
 * yet. Without a fleece device it is the same bitmap as todo, because copies for
 * guest writes go to the target too. With a fleece device, a block that is copied
 * and not left is on the target and no longer has a slot.
 *
 * Bits only go from 1 to 0. A guest write to a block whose todo bit is set waits.
 * Copiers claim blocks, so that no block is copied twice at the same time, but they
 * hold no lock while they copy. A bit of todo, left or scope is cleared under the
 * exclusive range lock of the block and with cbw_session.lock held. A view reads
 * under the shared range lock, so that what it looked up stays true until it has
 * read the data.
 *
 * Lock order: registry mutex, range locks, cbw_session.lock,
 * cbw_session.view_lock, cbw_fleece's lock.
 */

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "dm-live/compat.h"
#include "dm-live/copier.h"
#include "dm-live-words.h"

#define DM_MSG_PREFIX "cbw"

/* Bytes that one copy moves, unless a block is larger. */
#define CBW_COPY_BYTES		1048576u
#define CBW_MIN_BLOCK_BYTES	4096u
#define CBW_MAX_BLOCK_BYTES	(2u << 20)
#define CBW_MAX_COPY_BLOCKS	(CBW_COPY_BYTES / CBW_MIN_BLOCK_BYTES)
/* The most extents in one copy. Their I/O is in flight at the same time. */
#define CBW_MAX_EXTENTS		64

/* Copies for guest writes that are in flight at the same time. */
#define CBW_COW_WORKERS		16
#define CBW_MAX_JOB_WORKERS	16
#define CBW_DEFAULT_JOB_WORKERS	8

#define CBW_DEFAULT_LOW_WATER	10u

/**
 * enum cbw_state - of a session
 * @CBW_NEW: the table has not been resumed yet
 * @CBW_ACTIVE: the point in time is kept
 * @CBW_BROKEN: the point in time is lost. Final.
 * @CBW_COMPLETE: the job has copied all of it to the target. Final.
 */
enum cbw_state {
	CBW_NEW,
	CBW_ACTIVE = CBW_SESSION_ACTIVE,
	CBW_BROKEN = CBW_SESSION_BROKEN,
	CBW_COMPLETE = CBW_SESSION_COMPLETE,
};

/**
 * struct cbw_config - the features of the table line
 * @timeout_ms: how long a guest write waits for a copy at most, 0: no limit
 * @low_water_percent: raise an event when fewer slots than this are free, 0: never
 * @bitmap: name of the bitmap that the session uses, or NULL
 * @bitmap_is_new: a full session, after which the bitmap starts again from scratch
 * @generation: the only generation that can be committed, 0: any
 * @given: a bit for each enum cbw_feature in the table line, see table.c
 */
struct cbw_config {
	enum cbw_on_meta_error on_meta_error;
	enum cbw_on_cbw_error on_cbw_error;
	u64 timeout_ms;
	unsigned int low_water_percent;
	bool job;
	u64 job_speed;
	unsigned int job_workers;
	enum cbw_on_error on_source_error;
	enum cbw_on_error on_target_error;
	char *bitmap;
	bool bitmap_is_new;
	u64 generation;
	u32 given;
};

struct cbw_session;
struct cbw_fleece;
struct cbw_track;
struct dm_live_bitmap;
struct dm_live_range_lock;

/**
 * struct cbw_extent - consecutive blocks, a part of a copy
 * @rb: in the tree of claims, if the extent is a claim
 * @first: first block
 * @nr: number of blocks
 * @index: position of @first among all blocks of the copy
 */
struct cbw_extent {
	struct rb_node rb;
	u64 first;
	u64 nr;
	u64 index;
};

/**
 * struct cbw_copier - a worker that copies, for guest writes or for the job
 * @is_job: it works for the job
 * @extents: its claims; cbw_session.lock, but its own worker may read them without
 * @nr_extents: number of claims; locked like @extents
 * @busy: only of a worker for guest writes: it is working or queued; cbw_session.lock
 * @slots: the slots on the fleece device of the blocks that it is copying
 */
struct cbw_copier {
	struct cbw_session *session;
	bool is_job;
	struct cbw_extent extents[CBW_MAX_EXTENTS];
	unsigned int nr_extents;
	bool busy;
	struct delayed_work work;
	u32 slots[CBW_MAX_COPY_BLOCKS];
};

/**
 * struct cbw_job - the job, which copies what is left
 * @position: all blocks before it have been claimed once
 * @holes: errors were ignored, so some blocks have not been copied
 * @idle: nothing was left to claim, but other copiers still had claims
 * All but @rate are protected by cbw_session.lock; @state may be read without.
 */
struct cbw_job {
	enum cbw_job_state state;
	u64 position;
	bool holes;
	bool idle;
	struct dm_live_rate rate;
	unsigned int nr_workers;
	struct cbw_copier workers[CBW_MAX_JOB_WORKERS];
	struct work_struct complete_work;
};

/** enum cbw_gate - may a view use the devices of a session? */
enum cbw_gate {
	CBW_GATE_SHUT,		/* suspended: I/O waits */
	CBW_GATE_OPEN,
	CBW_GATE_ENDED,		/* never again */
};

/**
 * struct cbw_session - a point in time
 * @ref: held by the table and by each view
 * @link: in the registry, see session.c
 * @devt: number of the mapped device
 * @nr_views: number of snapshot views
 * @ti: the target instance, valid until the session has ended
 * @origin: valid until the session has ended; so are the next two
 * @store_bdev: where copies for guest writes go: the fleece device, or the target
 * @target_bdev: the target, or NULL
 * @target_lacks_write_zeroes: the target claims to support write-zeroes, but fails it
 * @lock: protects the members after it
 * @state: may be read without the lock
 * @running: between resume and postsuspend: the origin may be read
 * @released: a view has discarded blocks
 * @nr_reading: copies that are reading the origin
 * @nr_copying: copies that may still write to the store or the target
 * @progress_ns: when a copy last succeeded
 * @claims: what is being copied
 * @job_claims: the job's claims, where they do not exclude other copiers
 * @kicked: a worker for guest writes is queued and has not looked for work yet
 * @waiters: waiting guest writes by range
 * @fresh: see struct cbw_waiter
 * @told: see struct cbw_waiter
 * @by_age: waiting guest writes, oldest first
 * @submit: guest writes to be submitted
 * @view_lock: protects the members after it
 * @view_io: number of view bios that use the session's devices
 * @view_store_io: how many of them will not touch the origin
 * @view_bios: view bios that arrived while the gate was shut
 */
struct cbw_session {
	struct kref ref;
	struct list_head link;
	dev_t devt;
	char name[16];
	atomic_t nr_views;
	struct cbw_config config;

	struct dm_target *ti;
	struct block_device *origin;
	struct block_device *store_bdev;
	struct block_device *target_bdev;
	bool target_lacks_write_zeroes;

	sector_t nr_sectors;
	unsigned int block_shift;
	u64 nr_blocks;
	struct dm_live_bitmap *scope;
	struct dm_live_bitmap *todo;
	struct dm_live_bitmap *left;
	struct dm_live_range_lock *ranges;
	struct cbw_fleece *fleece;

	spinlock_t lock;	/* see above */
	enum cbw_state state;
	bool running;
	bool released;
	unsigned int nr_reading;
	unsigned int nr_copying;
	u64 progress_ns;
	struct rb_root claims;
	struct rb_root job_claims;
	bool kicked;
	struct rb_root_cached waiters;
	struct list_head fresh;
	struct list_head told;
	struct list_head by_age;
	struct bio_list submit;
	struct cbw_copier cow[CBW_COW_WORKERS];
	struct cbw_job job;
	atomic64_t cow_writes;
	atomic64_t source_errors;
	atomic64_t target_errors;

	spinlock_t view_lock;	/* see above */
	enum cbw_gate gate;
	unsigned int view_io;
	unsigned int view_store_io;
	struct bio_list view_bios;

	wait_queue_head_t wait;
	struct dm_live_copier *copier;
	/* For transfers. A slow target must not use up the buffers of guest writes. */
	struct dm_live_copier *transfer_copier;
	struct workqueue_struct *cow_wq;
	struct workqueue_struct *job_wq;
	struct workqueue_struct *submit_wq;
	struct work_struct submit_work;
	struct work_struct event_work;
	struct work_struct view_work;
	struct delayed_work timeout_work;
};

/**
 * struct cbw_table - one table line
 * @origin: what the guest reads and writes
 * @target: where the job copies to, or NULL
 * @fleece: where old data goes; NULL: to the target
 * @meta: metadata device, or NULL
 * @session: or NULL
 * @track: change tracking, or NULL
 */
struct cbw_table {
	struct dm_target *ti;
	struct dm_dev *origin;
	struct dm_dev *target;
	struct dm_dev *fleece;
	struct dm_dev *meta;
	unsigned int block_shift;
	struct cbw_config config;
	struct cbw_session *session;
	struct cbw_track *track;
};

/** cbw_is - does the session have this state now? No lock. */
static inline bool cbw_is(const struct cbw_session *session,
			  enum cbw_state state)
{
	return READ_ONCE(session->state) == state;
}

#endif /* DM_CBW_CBW_H */
