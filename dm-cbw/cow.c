// SPDX-License-Identifier: GPL-2.0-only
/*
 * The workers that copy for guest writes.
 *
 * A worker takes as much of what guest writes wait for as one copy moves, wherever
 * it is, and copies it in one go: many small writes cost little more than one.
 * Another worker is called when something is left, or comes later. So with few
 * writes each is copied at once, and the more there are, the more share a copy.
 *
 * Nobody is forgotten: whoever makes a write fresh kicks, with the lock held. Then
 * either a worker is queued that has not looked yet, or all of them are busy, and
 * look again before they rest. Who looks and leaves something kicks in turn.
 */
#include <linux/blkdev.h>

#include "blocks.h"
#include "cbw.h"
#include "chunk.h"
#include "claims.h"
#include "copy.h"
#include "cow.h"
#include "state.h"
#include "waiters.h"
#include "dm-live/bitmap.h"

/*
 * Blocks from @block on that nobody copies yet and that guest writes wait for:
 * those of other writes beside it too, at most @max_blocks.
 */
static void claim_around(struct cbw_copier *copier, u64 block, u64 max_blocks)
{
	struct cbw_session *session = copier->session;
	u64 first = block, end = block + 1;
	u64 limit = min(block + max_blocks, session->nr_blocks);
	struct cbw_waiter *waiter;

	limit = cbw_end_claim(copier, block, limit);
	while (end < limit) {
		waiter = cbw_waiter_over(session, end);
		if (!waiter)
			break;
		end = min(waiter->last + 1, limit);
	}
	while (first && end - first < max_blocks &&
	       dm_live_bitmap_test(session->todo, first - 1) &&
	       !cbw_is_claimed(copier, first - 1) &&
	       cbw_waiter_over(session, first - 1))
		first--;
	cbw_claim(copier, first, end - first);
}

/* Give the worker blocks that guest writes wait for, the oldest first. */
static bool claim(struct cbw_copier *copier)
{
	struct cbw_session *session = copier->session;
	u64 max_blocks = cbw_copy_blocks(session), left = max_blocks;
	struct cbw_waiter *waiter;
	u64 block;

	lockdep_assert_held(&session->lock);
	session->kicked = false;
	if (session->state != CBW_ACTIVE || !session->running)
		return false;
	while (!list_empty(&session->fresh)) {
		waiter = list_first_entry(&session->fresh, struct cbw_waiter,
					  link);
		block = cbw_next_unclaimed(copier, waiter->first,
					   waiter->last + 1);
		if (block > waiter->last) {
			/* This worker or others copy what it waits for. */
			list_move_tail(&waiter->link, &session->told);
			continue;
		}
		/* One that does not fit is not cut: it would wait for two. */
		if (copier->nr_extents == CBW_MAX_EXTENTS ||
		    (copier->nr_extents && waiter->last - block >= left)) {
			cbw_cow_kick(session);
			break;
		}
		claim_around(copier, block, left);
		left = max_blocks - cbw_nr_claimed(copier);
	}
	return copier->nr_extents;
}

static void copy_failed(struct cbw_session *session, u64 block,
			const struct cbw_result *result)
{
	cbw_count_error(session, block, result);
	if (session->config.on_cbw_error == CBW_BREAK_SNAPSHOT)
		cbw_session_break(session, "a copy before a guest write failed");
	else
		cbw_fail_waiters(session, block, cbw_result_status(result));
}

static bool is_active(struct cbw_session *session)
{
	return cbw_is(session, CBW_ACTIVE);
}

static void cow_work(struct work_struct *work)
{
	struct cbw_copier *copier = container_of(to_delayed_work(work),
						 struct cbw_copier, work);
	struct cbw_session *session = copier->session;
	bool claimed;

	for (;;) {
		spin_lock_irq(&session->lock);
		claimed = claim(copier);
		copier->busy = claimed;
		spin_unlock_irq(&session->lock);
		if (!claimed)
			return;
		cbw_copy_claims(copier, is_active, copy_failed);
		cbw_unclaim(copier);
	}
}

void cbw_cow_init(struct cbw_session *session)
{
	unsigned int i;

	for (i = 0; i < CBW_COW_WORKERS; i++) {
		session->cow[i].session = session;
		INIT_DELAYED_WORK(&session->cow[i].work, cow_work);
	}
}
