// SPDX-License-Identifier: GPL-2.0-only
/*
 * The workers that copy for guest writes.
 *
 * A worker claims as many of the blocks that guest writes wait for as one copy can
 * move, anywhere on the device, and copies them together: many small writes cost
 * little more than one. If it leaves some, or if more arrive, another worker is
 * queued. So with few writes each is copied at once, and with more writes more of
 * them share a copy.
 *
 * No write is forgotten. Code that makes a write fresh kicks, with the lock held.
 * After that, either a queued worker has not looked yet, or all workers are busy and
 * look again before they return. A worker that leaves something kicks in turn.
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
#include "dm-live/core/bitmap.h"

/*
 * Claim the unclaimed blocks around @block that guest writes wait for, at most
 * @max_blocks. They may belong to several writes.
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

/* Claim blocks that guest writes wait for, the oldest write first. */
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
			/* All that it waits for is claimed already. */
			list_move_tail(&waiter->link, &session->told);
			continue;
		}
		/* Do not split a write that does not fit: it would wait for two copies. */
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
