/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_WAITERS_H
#define DM_CBW_WAITERS_H

/* The guest writes that wait for blocks to be copied. */

#include <linux/blk_types.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/types.h>

struct cbw_session;
struct work_struct;

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

/* As INTERVAL_TREE_DEFINE() makes them; of cbw_session.waiters, with the lock held. */
void cbw_waiter_tree_insert(struct cbw_waiter *waiter,
			    struct rb_root_cached *root);
void cbw_waiter_tree_remove(struct cbw_waiter *waiter,
			    struct rb_root_cached *root);
struct cbw_waiter *cbw_waiter_tree_iter_first(struct rb_root_cached *root,
					      u64 first, u64 last);
struct cbw_waiter *cbw_waiter_tree_iter_next(struct cbw_waiter *waiter,
					     u64 first, u64 last);

/** cbw_is_all_copied - is nothing of [first, last] left to copy? Any context. */
bool cbw_is_all_copied(const struct cbw_session *session, u64 first, u64 last);

/** cbw_remove_waiter - with the lock held: the write waits no more */
void cbw_remove_waiter(struct cbw_session *session, struct cbw_waiter *waiter);

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

/** cbw_submit_work - the worker that cbw_submit_later() queues */
void cbw_submit_work(struct work_struct *work);

/** cbw_submit_later - have another thread do that. Any context. */
void cbw_submit_later(struct cbw_session *session);

/** cbw_wake_all - with the lock held: all guest writes go down */
void cbw_wake_all(struct cbw_session *session);

/** cbw_fail_waiters - guest writes that wait for @block fail */
void cbw_fail_waiters(struct cbw_session *session, u64 block,
		      blk_status_t status);

/** cbw_fail_all - fail writes that wait no more, in a list by age. No lock. */
void cbw_fail_all(struct list_head *failed, blk_status_t status);

#endif /* DM_CBW_WAITERS_H */
