// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest writes that wait for blocks to be copied, and how they are woken, submitted
 * and failed.
 */
#include <linux/blkdev.h>
#include <linux/interval_tree_generic.h>

#include "cbw.h"
#include "waiters.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/submit.h"

#define FIRST(waiter)	((waiter)->first)
#define LAST(waiter)	((waiter)->last)

INTERVAL_TREE_DEFINE(struct cbw_waiter, rb, u64, subtree_last, FIRST, LAST,
		     static, waiter_tree)

void cbw_waiter_tree_insert(struct cbw_waiter *waiter,
			    struct rb_root_cached *root)
{
	waiter_tree_insert(waiter, root);
}

static struct bio *bio_of(struct cbw_waiter *waiter)
{
	return dm_bio_from_per_bio_data(waiter, sizeof(struct cbw_waiter));
}

bool cbw_is_all_copied(const struct cbw_session *session, u64 first, u64 last)
{
	return dm_live_bitmap_next_set(session->todo, first, last + 1) ==
	       last + 1;
}

void cbw_remove_waiter(struct cbw_session *session, struct cbw_waiter *waiter)
{
	lockdep_assert_held(&session->lock);
	waiter_tree_remove(waiter, &session->waiters);
	list_del(&waiter->link);
	list_del(&waiter->age);
}

/* The next cbw_submit() submits it. */
static void make_ready(struct cbw_session *session, struct cbw_waiter *waiter)
{
	cbw_remove_waiter(session, waiter);
	bio_list_add(&session->submit, bio_of(waiter));
}

void cbw_submit(struct cbw_session *session)
{
	struct blk_plug plug;
	struct bio_list bios;
	struct bio *bio;

	spin_lock_irq(&session->lock);
	bios = session->submit;
	bio_list_init(&session->submit);
	spin_unlock_irq(&session->lock);

	blk_start_plug(&plug);
	while ((bio = bio_list_pop(&bios)))
		dm_live_submit_deferred(bio);
	blk_finish_plug(&plug);
}

void cbw_submit_work(struct work_struct *work)
{
	cbw_submit(container_of(work, struct cbw_session, submit_work));
}

void cbw_submit_later(struct cbw_session *session)
{
	queue_work(session->submit_wq, &session->submit_work);
}

struct cbw_waiter *cbw_waiter_over(struct cbw_session *session, u64 block)
{
	lockdep_assert_held(&session->lock);
	return waiter_tree_iter_first(&session->waiters, block, block);
}

bool cbw_wake(struct cbw_session *session, u64 first, u64 nr)
{
	struct cbw_waiter *waiter, *next;
	bool fresh = false;

	lockdep_assert_held(&session->lock);
	for (waiter = waiter_tree_iter_first(&session->waiters, first,
					     first + nr - 1); waiter;
	     waiter = next) {
		next = waiter_tree_iter_next(waiter, first, first + nr - 1);
		if (cbw_is_all_copied(session, waiter->first, waiter->last)) {
			make_ready(session, waiter);
		} else {
			list_move_tail(&waiter->link, &session->fresh);
			fresh = true;
		}
	}
	return fresh;
}

void cbw_wake_all(struct cbw_session *session)
{
	struct cbw_waiter *waiter, *next;

	lockdep_assert_held(&session->lock);
	list_for_each_entry_safe(waiter, next, &session->by_age, age)
		make_ready(session, waiter);
	cbw_submit_later(session);
}

void cbw_fail_all(struct list_head *failed, blk_status_t status)
{
	struct cbw_waiter *waiter, *next;

	list_for_each_entry_safe(waiter, next, failed, age) {
		struct bio *bio = bio_of(waiter);

		/* It was never submitted, so no flush has failed, see cbw_end_io(). */
		bio->bi_opf &= ~(REQ_PREFLUSH | REQ_FUA);
		bio->bi_status = status;
		bio_endio(bio);
	}
}

void cbw_fail_waiters(struct cbw_session *session, u64 block,
		      blk_status_t status)
{
	struct cbw_waiter *waiter;
	LIST_HEAD(failed);

	spin_lock_irq(&session->lock);
	/* A view may have released the block in the meantime. */
	while (dm_live_bitmap_test(session->todo, block)) {
		waiter = cbw_waiter_over(session, block);
		if (!waiter)
			break;
		cbw_remove_waiter(session, waiter);
		list_add_tail(&waiter->age, &failed);
	}
	spin_unlock_irq(&session->lock);
	cbw_fail_all(&failed, status);
}
