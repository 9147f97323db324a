// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks on ranges of blocks, first come, first served.
 *
 * All requests, held and waiting, are in one interval tree. A new request
 * counts the conflicting ones that are there already: it waits for those. A
 * release decrements the count of each conflicting request that came later; a
 * request whose count reaches zero holds its lock. So a request never overtakes
 * an earlier one that it conflicts with.
 */
#include "range-lock.h"

struct dm_live_range_lock {
	spinlock_t lock;	/* protects all members */
	struct rb_root_cached tree;
	u64 next_sequence;
};

#define FIRST(range) ((range)->first)
#define LAST(range) ((range)->last)

INTERVAL_TREE_DEFINE(struct dm_live_range, rb, u64, subtree_last, FIRST, LAST,
		     static, range_tree)

struct dm_live_range_lock *dm_live_range_lock_create(void)
{
	struct dm_live_range_lock *lock = kzalloc(sizeof(*lock), GFP_KERNEL);

	if (!lock)
		return NULL;
	spin_lock_init(&lock->lock);
	lock->tree = RB_ROOT_CACHED;
	return lock;
}
EXPORT_SYMBOL_GPL(dm_live_range_lock_create);

void dm_live_range_lock_destroy(struct dm_live_range_lock *lock)
{
	kfree(lock);
}
EXPORT_SYMBOL_GPL(dm_live_range_lock_destroy);

static bool conflict(const struct dm_live_range *a,
		     const struct dm_live_range *b)
{
	return a->mode == DM_LIVE_RANGE_EXCLUSIVE ||
	       b->mode == DM_LIVE_RANGE_EXCLUSIVE;
}

bool dm_live_range_acquire(struct dm_live_range_lock *lock,
			   struct dm_live_range *range, u64 first, u64 last,
			   enum dm_live_range_mode mode,
			   dm_live_range_granted_fn granted)
{
	struct dm_live_range *other;
	unsigned long flags;
	bool held;

	range->first = first;
	range->last = last;
	range->mode = mode;
	range->granted = granted;
	range->blockers = 0;
	INIT_LIST_HEAD(&range->link);

	spin_lock_irqsave(&lock->lock, flags);
	range->sequence = lock->next_sequence++;
	for (other = range_tree_iter_first(&lock->tree, first, last); other;
	     other = range_tree_iter_next(other, first, last))
		if (conflict(range, other))
			range->blockers++;
	range_tree_insert(range, &lock->tree);
	held = !range->blockers;
	spin_unlock_irqrestore(&lock->lock, flags);
	return held;
}
EXPORT_SYMBOL_GPL(dm_live_range_acquire);

void dm_live_range_release(struct dm_live_range_lock *lock,
			   struct dm_live_range *range)
{
	u64 first = range->first;
	u64 last = range->last;
	struct dm_live_range *other, *next;
	unsigned long flags;
	LIST_HEAD(granted);

	spin_lock_irqsave(&lock->lock, flags);
	range_tree_remove(range, &lock->tree);
	for (other = range_tree_iter_first(&lock->tree, first, last); other;
	     other = range_tree_iter_next(other, first, last)) {
		if (other->sequence < range->sequence ||
		    !conflict(range, other))
			continue;
		if (!--other->blockers)
			list_add_tail(&other->link, &granted);
	}
	spin_unlock_irqrestore(&lock->lock, flags);

	/* Once granted() is called, its memory may be reused. */
	list_for_each_entry_safe(other, next, &granted, link)
		other->granted(other);
}
EXPORT_SYMBOL_GPL(dm_live_range_release);

static void wake_waiter(struct dm_live_range *range)
{
	complete(range->context);
}

void dm_live_range_acquire_wait(struct dm_live_range_lock *lock,
				struct dm_live_range *range, u64 first,
				u64 last, enum dm_live_range_mode mode)
{
	DECLARE_COMPLETION_ONSTACK(held);

	range->context = &held;
	if (!dm_live_range_acquire(lock, range, first, last, mode, wake_waiter))
		wait_for_completion(&held);
}
EXPORT_SYMBOL_GPL(dm_live_range_acquire_wait);

bool dm_live_range_lock_is_idle(struct dm_live_range_lock *lock)
{
	unsigned long flags;
	bool idle;

	spin_lock_irqsave(&lock->lock, flags);
	idle = RB_EMPTY_ROOT(&lock->tree.rb_root);
	spin_unlock_irqrestore(&lock->lock, flags);
	return idle;
}
EXPORT_SYMBOL_GPL(dm_live_range_lock_is_idle);
