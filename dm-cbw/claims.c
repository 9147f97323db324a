// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claims: who copies which blocks. A claim is a range of blocks of one copier;
 * claims that exclude each other do not overlap.
 */
#include "cbw.h"

/*
 * Who may not have the same blocks: all, where all copy to the target. Where guest
 * writes have theirs in slots, they shall not wait for the job, which may be slow:
 * it sees that it was overtaken, see transfer.c.
 */
static bool excludes(const struct cbw_copier *a, const struct cbw_copier *b)
{
	return b->nr && (a->is_job == b->is_job || !a->session->fleece);
}

static const struct cbw_copier *copier_at(const struct cbw_session *session,
					  unsigned int i)
{
	return i < CBW_COW_WORKERS ? &session->cow[i] :
				     &session->job.workers[i - CBW_COW_WORKERS];
}

static unsigned int nr_copiers(const struct cbw_session *session)
{
	return CBW_COW_WORKERS + session->job.nr_workers;
}

const struct dm_live_bitmap *cbw_todo_of(const struct cbw_copier *copier)
{
	return copier->is_job ? copier->session->left : copier->session->todo;
}

/* The first claim from @block on, or @end. */
static u64 next_claimed(const struct cbw_copier *copier, u64 block, u64 end)
{
	const struct cbw_session *session = copier->session;
	unsigned int i;

	lockdep_assert_held(&session->lock);
	for (i = 0; i < nr_copiers(session); i++) {
		const struct cbw_copier *other = copier_at(session, i);

		if (excludes(copier, other) &&
		    other->first + other->nr > block)
			end = min(end, max(other->first, block));
	}
	return end;
}

u64 cbw_end_claim(const struct cbw_copier *copier, u64 block, u64 end)
{
	end = dm_live_bitmap_next_clear(cbw_todo_of(copier), block, end);
	return next_claimed(copier, block, end);
}

bool cbw_has_claims(const struct cbw_copier *copier)
{
	u64 nr_blocks = copier->session->nr_blocks;

	return next_claimed(copier, 0, nr_blocks) != nr_blocks;
}

/* Where the claim that has @block ends, or @block. */
static u64 end_of_claim(const struct cbw_copier *copier, u64 block)
{
	const struct cbw_session *session = copier->session;
	unsigned int i;

	lockdep_assert_held(&session->lock);
	for (i = 0; i < nr_copiers(session); i++) {
		const struct cbw_copier *other = copier_at(session, i);

		if (excludes(copier, other) && other->first <= block &&
		    block < other->first + other->nr)
			return other->first + other->nr;
	}
	return block;
}

bool cbw_is_claimed(const struct cbw_copier *copier, u64 block)
{
	return end_of_claim(copier, block) != block;
}

u64 cbw_next_unclaimed(const struct cbw_copier *copier, u64 block, u64 end)
{
	u64 next;

	while (block < end) {
		block = dm_live_bitmap_next_set(cbw_todo_of(copier), block, end);
		next = block < end ? end_of_claim(copier, block) : block;
		if (next == block)
			break;
		block = next;
	}
	return min(block, end);
}

void cbw_unclaim(struct cbw_copier *copier)
{
	struct cbw_session *session = copier->session;
	bool kick_job;

	spin_lock_irq(&session->lock);
	if (cbw_wake(session, copier->first, copier->nr))
		cbw_cow_kick(session);
	copier->nr = 0;
	kick_job = cbw_job_wants_kick(session);
	spin_unlock_irq(&session->lock);
	if (kick_job)
		cbw_job_kick(session);
}
