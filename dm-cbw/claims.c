// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claims: who copies which blocks. A claim is an extent of a copier. Claims that
 * exclude each other are in one tree, and do not overlap.
 *
 * Where everything is copied to the target, all copiers exclude each other. With a
 * fleece device, guest writes must not wait for the job, which may be slow. So the
 * job has a tree of its own, and notices when it was overtaken: see transfer.c.
 */
#include "cbw.h"
#include "claims.h"
#include "state.h"
#include "waiters.h"
#include "dm-live/core/bitmap.h"

static struct rb_root *tree_of(const struct cbw_copier *copier)
{
	struct cbw_session *session = copier->session;

	return copier->is_job && session->fleece ? &session->job_claims :
						   &session->claims;
}

struct dm_live_bitmap *cbw_todo_of(const struct cbw_copier *copier)
{
	return copier->is_job ? copier->session->left : copier->session->todo;
}

/* The first claim that ends after @block, or NULL. */
static const struct cbw_extent *claim_from(const struct cbw_copier *copier,
					   u64 block)
{
	const struct rb_node *node = tree_of(copier)->rb_node;
	const struct cbw_extent *found = NULL;

	lockdep_assert_held(&copier->session->lock);
	while (node) {
		const struct cbw_extent *extent =
			rb_entry(node, struct cbw_extent, rb);

		if (extent->first + extent->nr > block) {
			found = extent;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

u64 cbw_end_claim(const struct cbw_copier *copier, u64 block, u64 end)
{
	const struct cbw_extent *next = claim_from(copier, block);

	if (next)
		end = min(end, max(next->first, block));
	return dm_live_bitmap_next_clear(cbw_todo_of(copier), block, end);
}

bool cbw_has_claims(const struct cbw_copier *copier)
{
	lockdep_assert_held(&copier->session->lock);
	return !RB_EMPTY_ROOT(tree_of(copier));
}

bool cbw_is_claimed(const struct cbw_copier *copier, u64 block)
{
	const struct cbw_extent *extent = claim_from(copier, block);

	return extent && extent->first <= block;
}

u64 cbw_next_unclaimed(const struct cbw_copier *copier, u64 block, u64 end)
{
	const struct cbw_extent *extent;

	while (block < end) {
		block = dm_live_bitmap_next_set(cbw_todo_of(copier), block, end);
		extent = claim_from(copier, block);
		if (!extent || extent->first > block)
			break;
		block = extent->first + extent->nr;
	}
	return min(block, end);
}

u64 cbw_nr_claimed(const struct cbw_copier *copier)
{
	const struct cbw_extent *last;

	if (!copier->nr_extents)
		return 0;
	last = &copier->extents[copier->nr_extents - 1];
	return last->index + last->nr;
}

static bool is_before(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct cbw_extent, rb)->first <
	       rb_entry(b, struct cbw_extent, rb)->first;
}

void cbw_claim(struct cbw_copier *copier, u64 first, u64 nr)
{
	struct cbw_extent *extent = &copier->extents[copier->nr_extents];

	lockdep_assert_held(&copier->session->lock);
	extent->first = first;
	extent->nr = nr;
	extent->index = cbw_nr_claimed(copier);
	copier->nr_extents++;
	rb_add(&extent->rb, tree_of(copier), is_before);
}

void cbw_unclaim(struct cbw_copier *copier)
{
	struct cbw_session *session = copier->session;
	bool kick_cow = false, kick_job;
	unsigned int i;

	spin_lock_irq(&session->lock);
	for (i = 0; i < copier->nr_extents; i++) {
		struct cbw_extent *extent = &copier->extents[i];

		rb_erase(&extent->rb, tree_of(copier));
		kick_cow |= cbw_wake(session, extent->first, extent->nr);
	}
	copier->nr_extents = 0;
	if (kick_cow)
		cbw_cow_kick(session);
	kick_job = cbw_job_wants_kick(session);
	spin_unlock_irq(&session->lock);
	if (kick_job)
		cbw_job_kick(session);
	/*
	 * Submit from this thread: another one would add latency. Submitting may
	 * wait for the origin, but for nothing that waits for a copy; and copies
	 * need the origin as well.
	 */
	cbw_submit(session);
}
