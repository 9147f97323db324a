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
 * The per-bio data. All members are protected by cbw_session.lock. The write is in
 * the tree, in the list by age, and either in the list fresh (some of its blocks may
 * be unclaimed) or in the list told. A @patient one is a discard or write-zeroes,
 * which may be large: it does not time out while copies succeed.
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
 * cbw_waiter_tree_insert - with the lock held: insert the write into the tree
 * @root: cbw_session.waiters
 * The caller adds it to the lists.
 */
void cbw_waiter_tree_insert(struct cbw_waiter *waiter,
			    struct rb_root_cached *root);

/** cbw_is_all_copied - are all blocks of [first, last] copied? Any context. */
bool cbw_is_all_copied(const struct cbw_session *session, u64 first, u64 last);

/** cbw_remove_waiter - with the lock held: take the write out of tree and lists */
void cbw_remove_waiter(struct cbw_session *session, struct cbw_waiter *waiter);

/**
 * cbw_waiter_over - with the lock held: a guest write that waits for @block
 * Return: the write, or NULL.
 */
struct cbw_waiter *cbw_waiter_over(struct cbw_session *session, u64 block);

/**
 * cbw_wake - with the lock held: look again at the guest writes that wait for blocks
 *
 * Those with nothing left to copy become ready: the caller must call cbw_submit() or
 * cbw_submit_later(). The others become fresh again. Return: true if there are any.
 */
bool cbw_wake(struct cbw_session *session, u64 first, u64 nr);

/** cbw_submit - submit the guest writes that are ready. May sleep; no lock. */
void cbw_submit(struct cbw_session *session);

/** cbw_submit_work - the worker that cbw_submit_later() queues */
void cbw_submit_work(struct work_struct *work);

/** cbw_submit_later - have a worker call cbw_submit(). Any context. */
void cbw_submit_later(struct cbw_session *session);

/** cbw_wake_all - with the lock held: submit all waiting guest writes */
void cbw_wake_all(struct cbw_session *session);

/** cbw_fail_waiters - fail the guest writes that wait for @block */
void cbw_fail_waiters(struct cbw_session *session, u64 block,
		      blk_status_t status);

/** cbw_fail_all - fail removed writes, which are in a list by age. No lock. */
void cbw_fail_all(struct list_head *failed, blk_status_t status);

#endif /* DM_CBW_WAITERS_H */
