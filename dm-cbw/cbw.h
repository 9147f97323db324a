/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_CBW_H
#define DM_CBW_CBW_H

/*
 * What the files of dm-cbw share.
 *
 * A struct cbw_table is one instance of the target "cbw", that is one table
 * line. A struct cbw_session is what keeps a point in time: it belongs to the
 * table that it was constructed with, begins with the table's first resume and
 * ends when the table is destroyed. A snapshot view holds the session's memory
 * for longer, but then gets errors only.
 *
 * Two bitmaps say what a block is:
 *
 *	scope	todo
 *	1	1	not yet copied: the origin has it as it was
 *	1	0	copied: the store (target or fleece device) has it
 *	0	0	out of scope: nobody wants it (any more)
 *
 * A third one, left, says which blocks the job has not put on the target yet.
 * Without a fleece device it is the same as todo, since a copy for a guest write
 * goes to the target too. With one, a block that is copied and not left is on the
 * target, and has no slot any more.
 *
 * Bits only ever go from 1 to 0. A guest write to a block with its todo bit set
 * waits. Copiers claim blocks, so that no block is copied twice at a time, but
 * hold no lock while they copy. A bit of todo, left or scope is cleared under
 * the exclusive range lock of the block, and with cbw_session.lock held. A view
 * reads under the shared range lock: so what it looked up stays true till it
 * has read.
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

#define DM_MSG_PREFIX "cbw"

/* Bytes that one copy moves, unless a block is larger. */
#define CBW_COPY_BYTES		1048576u
#define CBW_MIN_BLOCK_BYTES	4096u
#define CBW_MAX_BLOCK_BYTES	(2u << 20)
#define CBW_MAX_COPY_BLOCKS	(CBW_COPY_BYTES / CBW_MIN_BLOCK_BYTES)
/* Ranges of blocks that one copy moves, with their I/O in flight together. */
#define CBW_MAX_EXTENTS		64

/* Copies for guest writes that are in flight at the same time. */
#define CBW_COW_WORKERS		16
#define CBW_MAX_JOB_WORKERS	16
#define CBW_DEFAULT_JOB_WORKERS	8

#define CBW_DEFAULT_LOW_WATER	10u

enum cbw_on_meta_error {
	CBW_META_BREAK_GUEST_WRITE,
	CBW_BREAK_TRACKING,
};

enum cbw_on_cbw_error {
	CBW_BREAK_GUEST_WRITE,
	CBW_BREAK_SNAPSHOT,
};

enum cbw_on_error {
	CBW_ON_ERROR_REPORT,
	CBW_ON_ERROR_IGNORE,
	CBW_ON_ERROR_STOP,
	CBW_ON_ERROR_ENOSPC,
};

/**
 * enum cbw_state - of a session
 * @CBW_NEW: the table was not yet resumed
 * @CBW_ACTIVE: the point in time is kept
 * @CBW_BROKEN: it is lost. Final.
 * @CBW_COMPLETE: the job has all of it on the target. Final.
 */
enum cbw_state {
	CBW_NEW,
	CBW_ACTIVE,
	CBW_BROKEN,
	CBW_COMPLETE,
};

enum cbw_job_state {
	CBW_JOB_NONE,
	CBW_JOB_RUNNING,
	CBW_JOB_PAUSED,
	CBW_JOB_STOPPED,
	CBW_JOB_FAILED,
	CBW_JOB_CANCELLED,
	CBW_JOB_COMPLETE,
};

/**
 * struct cbw_config - what the table line says
 * @timeout_ms: a guest write waits no longer than that for a copy, 0: for ever
 * @low_water_percent: event when fewer of the slots are free, 0: never
 * @bitmap: name of the bitmap that the session is on, or NULL
 * @bitmap_is_new: the session is a full one, with which the bitmap begins anew
 * @generation: which alone can be committed, 0: any
 * @given: bit per enum cbw_feature, see table.c
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
 * struct cbw_extent - blocks that follow each other, a part of a copy
 * @rb: in the tree of claims, if it is one
 * @first: first block
 * @nr: number of blocks
 * @index: of @first, among all blocks of the copy
 */
struct cbw_extent {
	struct rb_node rb;
	u64 first;
	u64 nr;
	u64 index;
};

/**
 * struct cbw_copier - one who copies: a worker for guest writes or of the job
 * @is_job: of the job
 * @extents: its claims; cbw_session.lock, but its own worker may read them
 * @nr_extents: how many, 0: none; as @extents
 * @busy: of one for guest writes: it is at work; cbw_session.lock
 * @slots: where the blocks of the copy under way are in the fleece device
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
 * struct cbw_job - copies what is left
 * @position: blocks before it were claimed once
 * @holes: errors were ignored: blocks remain
 * @idle: nothing was left to claim, but others had claims
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

/** enum cbw_gate - may a view do I/O to the devices of a session? */
enum cbw_gate {
	CBW_GATE_SHUT,		/* suspended: later */
	CBW_GATE_OPEN,
	CBW_GATE_ENDED,		/* never again */
};

/**
 * struct cbw_session - a point in time
 * @ref: the table and each view hold one
 * @link: in the registry, see session.c
 * @devt: number of the mapped device
 * @nr_views: snapshot views
 * @ti: the target, valid until the session has ended
 * @origin: valid until the session has ended; so are the next two
 * @store_bdev: where copies for guest writes go: the fleece device, or the target
 * @target_bdev: the target, or NULL
 * @target_lacks_write_zeroes: it says that it can, but cannot
 * @lock: protects the members after it
 * @state: may be read without the lock
 * @running: between resume and postsuspend: the origin may be read
 * @released: a view has discarded blocks
 * @nr_reading: copies that read the origin
 * @nr_copying: copies that may yet write to the store or the target
 * @progress_ns: when a copy last succeeded
 * @claims: what is being copied
 * @job_claims: what the job is at, if that need not be left to others
 * @kicked: a worker for guest writes was queued, and has not looked yet
 * @waiters: guest writes by range
 * @fresh: see struct cbw_waiter
 * @told: see struct cbw_waiter
 * @by_age: guest writes, oldest first
 * @submit: guest writes that are to go down
 * @view_lock: protects the members after it
 * @view_io: I/O of views that uses the session's devices
 * @view_store_io: that of it which will not touch the origin
 * @view_bios: I/O of views that came while the gate was shut
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
	/* Of a job that is a transfer, whose target guest writes do not wait for. */
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
 * @fleece: where old data go, or NULL: to the target
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

/** cbw_is - the state right now, without the lock */
static inline bool cbw_is(const struct cbw_session *session,
			  enum cbw_state state)
{
	return READ_ONCE(session->state) == state;
}

#endif /* DM_CBW_CBW_H */
