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

#include "dm-live/bitmap.h"
#include "dm-live/compat.h"
#include "dm-live/copier.h"
#include "dm-live/range-lock.h"

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
 * struct cbw_waiter - a guest write that waits for its blocks to be copied
 *
 * The per-bio data. All members are protected by cbw_session.lock. The write is
 * in the tree, in the list by age, and in one of the lists fresh (some of its
 * blocks may be claimed by nobody) and told. A @patient one (a discard, which may be
 * large) does not run out of time while any copy succeeds.
 */
struct cbw_waiter {
	struct rb_node rb;
	u64 first;
	u64 last;
	u64 subtree_last;
	struct list_head link;
	struct list_head age;
	u64 deadline_ns;
	bool patient;
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

static inline u64 cbw_block_bytes(const struct cbw_session *session)
{
	return 1ULL << (session->block_shift + SECTOR_SHIFT);
}

static inline u64 cbw_sector_to_block(const struct cbw_session *session,
				      sector_t sector)
{
	return sector >> session->block_shift;
}

static inline sector_t cbw_block_to_sector(const struct cbw_session *session,
					   u64 block)
{
	return (sector_t)block << session->block_shift;
}

/** cbw_end_sector - where the blocks before @end end: the last may be short */
static inline sector_t cbw_end_sector(const struct cbw_session *session,
				      u64 end)
{
	return min_t(sector_t, cbw_block_to_sector(session, end),
		     session->nr_sectors);
}

static inline sector_t cbw_range_sectors(const struct cbw_session *session,
					 u64 first, u64 nr)
{
	return cbw_end_sector(session, first + nr) -
	       cbw_block_to_sector(session, first);
}

/** cbw_copy_blocks - the most blocks that one copy moves, at least 1 */
static inline u64 cbw_copy_blocks(const struct cbw_session *session)
{
	return max_t(u64, CBW_COPY_BYTES / cbw_block_bytes(session), 1);
}

/** cbw_is - the state right now, without the lock */
static inline bool cbw_is(const struct cbw_session *session,
			  enum cbw_state state)
{
	return READ_ONCE(session->state) == state;
}

/* table.c: the table line */

/** cbw_table_parse - 0, or a negative errno with ti->error set */
int cbw_table_parse(struct cbw_table *table, unsigned int argc, char **argv);
unsigned int cbw_table_emit_features(const struct cbw_table *table,
				     unsigned int sz, char *result,
				     unsigned int maxlen);
unsigned int cbw_table_emit(const struct cbw_table *table, unsigned int sz,
			    char *result, unsigned int maxlen);

/* session.c: life, states, registry */

/**
 * cbw_session_create - a session for a table that is being constructed
 * Context: may sleep. Return: the session, or an ERR_PTR with ti->error set.
 */
struct cbw_session *cbw_session_create(struct cbw_table *table);

/**
 * cbw_session_end - nothing uses the devices of the session any more
 * Context: sleeps, for as long as the store takes for what is on the way to it.
 */
void cbw_session_end(struct cbw_session *session);

/** cbw_session_put - drop a reference; may sleep */
void cbw_session_put(struct cbw_session *session);

/**
 * cbw_session_find - the session of a mapped device, for a view
 * Return: the session with a reference and counted as viewed, or NULL.
 */
struct cbw_session *cbw_session_find(dev_t devt);

/** cbw_session_put_view - undo cbw_session_find() */
void cbw_session_put_view(struct cbw_session *session);

/** cbw_session_is_viewed - has that mapped device a live session with a view? */
bool cbw_session_is_viewed(dev_t devt);

/**
 * cbw_session_activate - before the resume: the point in time is now
 *
 * Ends the session that the mapped device had before, and waits till nothing of
 * that or of another session that is over is on the way to the same store.
 * Return: 0, -ERESTARTSYS when the caller was killed meanwhile, or -EBUSY when the
 * live session of another mapped device has the same store.
 */
int cbw_session_activate(struct cbw_session *session);

/** cbw_session_resume - after the resume: views and the job go on */
void cbw_session_resume(struct cbw_session *session);

/**
 * cbw_session_suspend - wait till nobody reads the origin. No guest I/O is left.
 *
 * I/O to the store is not waited for: the store may hang, and the guest's device
 * shall not. What is copied by it is as it was at the point in time.
 */
void cbw_session_suspend(struct cbw_session *session);

/**
 * cbw_session_break - the point in time is lost; guest writes wait no more
 * Context: any. Return: false when the session was not active.
 */
bool cbw_session_break(struct cbw_session *session, const char *why);

/** cbw_session_complete - with the lock held: the target has everything */
void cbw_session_complete(struct cbw_session *session);

/** cbw_raise_event - a device-mapper event. Any context. */
void cbw_raise_event(struct cbw_session *session);

/**
 * cbw_view_enter - begin I/O of a view
 * @bio: kept for later when the gate is shut
 * Return: the gate; the caller goes on only if that is CBW_GATE_OPEN.
 */
enum cbw_gate cbw_view_enter(struct cbw_session *session, struct bio *bio);

/** cbw_view_pin - may the devices be looked at? Then cbw_view_leave() ends it. */
bool cbw_view_pin(struct cbw_session *session);

/** cbw_view_at_store - I/O that has entered will not touch the origin */
void cbw_view_at_store(struct cbw_session *session);

/** cbw_view_is_valid - may what was read be shown? Ask when it has arrived. */
bool cbw_view_is_valid(const struct cbw_session *session);

/** cbw_view_leave - I/O ends; @at_store: cbw_view_at_store() was called for it */
void cbw_view_leave(struct cbw_session *session, bool at_store);

const char *cbw_state_name(enum cbw_state state);

/* message.c */

int cbw_message(struct dm_target *ti, unsigned int argc, char **argv,
		char *result, unsigned int maxlen);

/* io.c: the guest's I/O */

int cbw_map(struct dm_target *ti, struct bio *bio);
int cbw_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error);

/** cbw_map_again - for a write that change tracking has parked. May not sleep. */
void cbw_map_again(struct cbw_table *table, struct bio *bio);
void cbw_io_init(struct cbw_session *session);

/**
 * cbw_waiter_over - with the lock held: a guest write that waits for @block
 * Return: the write, or NULL.
 */
struct cbw_waiter *cbw_waiter_over(struct cbw_session *session, u64 block);

/**
 * cbw_wake - with the lock held: the blocks were dealt with
 *
 * Guest writes for which nothing is left to copy are to go down: the caller calls
 * cbw_submit() or cbw_submit_later(). The others are fresh again. Return: true
 * when there is one of these.
 */
bool cbw_wake(struct cbw_session *session, u64 first, u64 nr);

/** cbw_submit - send down the guest writes that may go. May sleep; no lock. */
void cbw_submit(struct cbw_session *session);

/** cbw_submit_later - have another thread do that. Any context. */
void cbw_submit_later(struct cbw_session *session);

/** cbw_wake_all - with the lock held: all guest writes go down */
void cbw_wake_all(struct cbw_session *session);

/** cbw_fail_waiters - guest writes that wait for @block fail */
void cbw_fail_waiters(struct cbw_session *session, u64 block,
		      blk_status_t status);

/* claims.c: who copies what. All with cbw_session.lock held. */

/** cbw_todo_of - what is to be copied by copiers of this kind */
struct dm_live_bitmap *cbw_todo_of(const struct cbw_copier *copier);

/** cbw_is_claimed - does another one copy @block, so that @copier may not? */
bool cbw_is_claimed(const struct cbw_copier *copier, u64 block);

/**
 * cbw_next_unclaimed - what is there for a claim
 * Return: the first block in [@block, @end) that is to be copied by copiers of
 * this kind and that none of them copies, or @end.
 */
u64 cbw_next_unclaimed(const struct cbw_copier *copier, u64 block, u64 end);

/** cbw_end_claim - how far a claim from @block on may go */
u64 cbw_end_claim(const struct cbw_copier *copier, u64 block, u64 end);

/** cbw_has_claims - is anything of that kind being copied? */
bool cbw_has_claims(const struct cbw_copier *copier);

/** cbw_nr_claimed - how many blocks the copier has claimed. No lock. */
u64 cbw_nr_claimed(const struct cbw_copier *copier);

/** cbw_claim - claim blocks that nobody has; at most CBW_MAX_EXTENTS times */
void cbw_claim(struct cbw_copier *copier, u64 first, u64 nr);

/**
 * cbw_unclaim - all claims are over; guest writes and the job may go on
 * Context: no lock. May sleep: sends guest writes down.
 */
void cbw_unclaim(struct cbw_copier *copier);

/* copy.c: the copy itself */

/**
 * struct cbw_result - what became of a copy
 * @read_status: of the origin, or the fleece device from which the job copies
 * @write_status: of the target or fleece device
 * @where: which device failed
 */
struct cbw_result {
	const char *where;
	blk_status_t read_status;
	blk_status_t write_status;
};

static inline blk_status_t cbw_result_status(const struct cbw_result *result)
{
	return result->read_status ?: result->write_status;
}

/** cbw_copy_failed_fn - the copy of a block has failed. No lock. */
typedef void (*cbw_copy_failed_fn)(struct cbw_session *session, u64 block,
				   const struct cbw_result *result);

#define CBW_NO_BLOCK	U64_MAX

/**
 * cbw_copy_claims - copy what is claimed, and clear the bits of todo, or of left
 * @copier: who has the claims
 * @may_go_on: asked before each block when they are tried one by one; no lock
 * @failed: called for each block that fails then
 *
 * Blocks whose bit went away meanwhile are left alone. All are copied in one go; when
 * any of it fails, block by block. Sleeps.
 *
 * Return: the first block that was left, as the session is suspended or over, or as
 * @may_go_on said so; CBW_NO_BLOCK: none.
 */
u64 cbw_copy_claims(struct cbw_copier *copier,
		    bool (*may_go_on)(struct cbw_session *session),
		    cbw_copy_failed_fn failed);

/** cbw_count_error - count and log an error of a copy */
void cbw_count_error(struct cbw_session *session, u64 first,
		     const struct cbw_result *result);

/**
 * struct cbw_chunk - a copy under way
 * @data: the blocks of all extents, in the order of their indexes
 * @extents: what is copied
 * @slots: of the blocks, in the fleece device, by index
 * @batch: the requests in flight
 */
struct cbw_chunk {
	struct cbw_session *session;
	struct dm_live_copier *copier;
	const struct dm_live_data *data;
	const struct cbw_extent *extents;
	unsigned int nr_extents;
	u32 *slots;
	bool used_write_zeroes;
	struct dm_live_batch batch;
};

#define cbw_for_each_extent(extent, chunk)				\
	for ((extent) = (chunk)->extents;				\
	     (extent) < (chunk)->extents + (chunk)->nr_extents; (extent)++)

/** cbw_end_reading - a copy will not touch the origin any more */
void cbw_end_reading(struct cbw_session *session);

/**
 * cbw_chunk_rw - submit the I/O of blocks that follow each other
 * @opf: REQ_OP_READ or REQ_OP_WRITE
 * @sector: where the first is on @bdev
 * @block: the first, in @extent
 * @end: the one after the last
 */
void cbw_chunk_rw(struct cbw_chunk *chunk, const struct cbw_extent *extent,
		  blk_opf_t opf, struct block_device *bdev, sector_t sector,
		  u64 block, u64 end);

/** cbw_chunk_zero_block - the block is zero: so the data */
void cbw_chunk_zero_block(struct cbw_chunk *chunk,
			  const struct cbw_extent *extent, u64 block);

/**
 * cbw_chunk_run - submit the I/O of each extent, and wait for all of it
 * @submit: of one extent; after a failure the rest is not submitted
 * Return: what the I/O ended with, else what @submit did.
 */
blk_status_t
cbw_chunk_run(struct cbw_chunk *chunk,
	      blk_status_t (*submit)(struct cbw_chunk *chunk,
				     const struct cbw_extent *extent));

/** cbw_chunk_write_target - write all of it to the target, and wait */
blk_status_t cbw_chunk_write_target(struct cbw_chunk *chunk);

/* cow.c: the workers that copy for guest writes */

void cbw_cow_init(struct cbw_session *session);

/** cbw_cow_kick - with the lock held: have fresh guest writes looked at */
void cbw_cow_kick(struct cbw_session *session);

/* transfer.c: the job's copy, where guest writes have theirs in slots */

/**
 * cbw_is_transfer - does it copy from origin and slots to the target?
 * Others copy from the origin to the store.
 */
static inline bool cbw_is_transfer(const struct cbw_copier *copier)
{
	return copier->is_job && copier->session->fleece;
}

/** cbw_transfer - read the blocks, wherever they are, and write the target */
void cbw_transfer(struct cbw_chunk *chunk, struct cbw_result *result);

/**
 * cbw_transfer_commit - the target has the blocks: nobody needs their slots any more
 * With the exclusive range lock and the lock held. The slots are noted in the
 * chunk, to be given back.
 */
void cbw_transfer_commit(struct cbw_chunk *chunk,
			 const struct cbw_extent *extent);

/* fleece.c: slots */

/* No slot. */
#define CBW_SLOT_NONE	U32_MAX
/* No slot needed: the block is zero. So it is if it is copied and has none. */
#define CBW_SLOT_ZERO	(U32_MAX - 1)

/** cbw_fleece_create - Context: may sleep. Return: the store or an ERR_PTR. */
struct cbw_fleece *cbw_fleece_create(struct cbw_session *session,
				     sector_t nr_sectors);
void cbw_fleece_destroy(struct cbw_fleece *fleece);

/**
 * cbw_fleece_alloc - take up to @nr slots that follow each other
 * @slot: out: the first
 * Context: may sleep. Return: how many, 0: all are in use.
 */
unsigned int cbw_fleece_alloc(struct cbw_session *session, unsigned int nr,
			      u32 *slot);

/** cbw_fleece_free - give slots back. CBW_SLOT_NONE and _ZERO are ignored. */
void cbw_fleece_free(struct cbw_session *session, u32 slot);

/**
 * cbw_fleece_set - a block that was not copied is in that slot, or zero
 * Under the exclusive range lock of the block; as cbw_fleece_take(). Any context.
 */
void cbw_fleece_set(struct cbw_fleece *fleece, u64 block, u32 slot);

/**
 * cbw_fleece_get - the slot of a copied block that is left, or CBW_SLOT_ZERO
 * Under its range lock, shared at least, or with the lock held. Any context.
 */
u32 cbw_fleece_get(struct cbw_fleece *fleece, u64 block);

/**
 * cbw_fleece_take - the slot of a block, which has none any more
 * The caller gives it back. Return: the slot, or CBW_SLOT_NONE: it had none.
 */
u32 cbw_fleece_take(struct cbw_fleece *fleece, u64 block);

u64 cbw_fleece_used(const struct cbw_fleece *fleece);
u64 cbw_fleece_total(const struct cbw_fleece *fleece);

/* job.c: the background copy */

void cbw_job_init(struct cbw_session *session);

/** cbw_job_message - start, pause, resume or cancel. 0 or a negative errno. */
int cbw_job_message(struct cbw_session *session, const char *verb);

/** cbw_job_set_speed - bytes/s, 0: no limit */
void cbw_job_set_speed(struct cbw_session *session, u64 bytes_per_second);

/** cbw_job_kick - have the workers look for work. Any context. */
void cbw_job_kick(struct cbw_session *session);

/** cbw_job_wants_kick - with the lock held: may the job have to do now? */
bool cbw_job_wants_kick(const struct cbw_session *session);

/** cbw_job_is_under_way - with the lock held: is it running, paused or stopped? */
bool cbw_job_is_under_way(const struct cbw_session *session);

/** cbw_job_session_broke - with the lock held: a job under way fails */
void cbw_job_session_broke(struct cbw_session *session);

const char *cbw_job_state_name(enum cbw_job_state state);

/* snapshot.c: the target "cbw-snapshot" */

extern struct target_type cbw_snapshot_target;

/** cbw_view_dispatch - I/O that waited for the gate goes on. May sleep. */
void cbw_view_dispatch(struct bio *bio);

/** cbw_view_fail - I/O that waited for the gate fails */
void cbw_view_fail(struct bio *bio);

#endif /* DM_CBW_CBW_H */
