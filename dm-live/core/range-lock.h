/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_RANGE_LOCK_H
#define DM_LIVE_RANGE_LOCK_H

/*
 * Shared and exclusive locks on ranges of blocks.
 *
 * For blocks in transition only: I/O to blocks that stay as they are never comes
 * here. Requests are granted first come, first served: a request waits for each
 * conflicting request (one of the two is exclusive, the ranges overlap) that came
 * before it, held or waiting. So no request starves, and requests cannot deadlock, as
 * long as no holder asks for a second range.
 *
 * Waiting is asynchronous: the request's @granted function is called. The
 * caller owns the memory of the request, from acquire until release returns.
 */

#include "shim.h"

struct dm_live_range_lock;
struct dm_live_range;

enum dm_live_range_mode {
	DM_LIVE_RANGE_SHARED,
	DM_LIVE_RANGE_EXCLUSIVE,
};

/**
 * typedef dm_live_range_granted_fn - the waited-for lock is held now
 *
 * Context: that of the release that granted it, which may be an interrupt; must not
 * sleep. No lock of the range lock is held: it may acquire and release.
 */
typedef void (*dm_live_range_granted_fn)(struct dm_live_range *range);

/**
 * struct dm_live_range - a held or waiting request
 *
 * Embedded in the caller's own struct. All members are private, but the owner
 * may read @first and @last, the first and the last block.
 */
struct dm_live_range {
	struct rb_node rb;
	u64 first;
	u64 last;
	u64 subtree_last;
	u64 sequence;
	unsigned int blockers;
	enum dm_live_range_mode mode;
	dm_live_range_granted_fn granted;
	void *context;
	struct list_head link;
};

/**
 * dm_live_range_lock_create - a range lock with nothing held
 * Context: may sleep. Return: the lock, or NULL when memory is short.
 */
struct dm_live_range_lock *dm_live_range_lock_create(void);

/** dm_live_range_lock_destroy - free it; nothing may be held. NULL is ignored. */
void dm_live_range_lock_destroy(struct dm_live_range_lock *lock);

/**
 * dm_live_range_acquire - ask for the blocks from @first to @last inclusive
 * @lock: the range lock
 * @range: memory for the request
 * @first: first block
 * @last: last block, not smaller than @first
 * @mode: shared or exclusive
 * @granted: called, once, when the lock is held, but only if this returns false
 *
 * Context: any; takes a spinlock with interrupts off.
 * Return: true when the lock is held at once, false when @granted will be called.
 */
bool dm_live_range_acquire(struct dm_live_range_lock *lock,
			   struct dm_live_range *range, u64 first, u64 last,
			   enum dm_live_range_mode mode,
			   dm_live_range_granted_fn granted);

/**
 * dm_live_range_acquire_wait - as dm_live_range_acquire(), and sleep until held
 *
 * Context: process context, may sleep; not interruptible. The holders that it
 * waits for must not depend on the caller to make progress.
 */
void dm_live_range_acquire_wait(struct dm_live_range_lock *lock,
				struct dm_live_range *range, u64 first,
				u64 last, enum dm_live_range_mode mode);

/**
 * dm_live_range_release - give up a held lock
 *
 * Calls @granted of each request that can be granted now.
 * Context: any.
 */
void dm_live_range_release(struct dm_live_range_lock *lock,
			   struct dm_live_range *range);

/** dm_live_range_lock_is_idle - true when nothing is held or waiting */
bool dm_live_range_lock_is_idle(struct dm_live_range_lock *lock);

#endif /* DM_LIVE_RANGE_LOCK_H */
