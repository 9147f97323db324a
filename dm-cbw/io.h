/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_IO_H
#define DM_CBW_IO_H

/* The guest's I/O, and the writes that wait for blocks to be copied. */

#include <linux/blk_types.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/types.h>

struct cbw_session;
struct cbw_table;
struct dm_target;

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

#endif /* DM_CBW_IO_H */
