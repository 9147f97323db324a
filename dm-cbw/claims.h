/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_CLAIMS_H
#define DM_CBW_CLAIMS_H

/* Claims: who copies which blocks. All with cbw_session.lock held. */

#include <linux/types.h>

struct cbw_copier;
struct dm_live_bitmap;

/** cbw_todo_of - what is to be copied by copiers of this kind */
struct dm_live_bitmap *cbw_todo_of(const struct cbw_copier *copier);

/** cbw_is_claimed - does another one copy @block, so that @copier may not? */
bool cbw_is_claimed(const struct cbw_copier *copier, u64 block);

/**
 * cbw_next_unclaimed - what is there for a claim
 * Return: the first block in [@block, @end) that is to be copied by copiers of
 * this kind and that none of them copies, or @end.
 */
u64 cbw_next_unclaimed(const struct cbw_copier *copier, u64 block, u64 end);

/** cbw_end_claim - how far a claim from @block on may go */
u64 cbw_end_claim(const struct cbw_copier *copier, u64 block, u64 end);

/** cbw_has_claims - is anything of that kind being copied? */
bool cbw_has_claims(const struct cbw_copier *copier);

/** cbw_nr_claimed - how many blocks the copier has claimed. No lock. */
u64 cbw_nr_claimed(const struct cbw_copier *copier);

/** cbw_claim - claim blocks that nobody has; at most CBW_MAX_EXTENTS times */
void cbw_claim(struct cbw_copier *copier, u64 first, u64 nr);

/**
 * cbw_unclaim - all claims are over; guest writes and the job may go on
 * Context: no lock. May sleep: sends guest writes down.
 */
void cbw_unclaim(struct cbw_copier *copier);

#endif /* DM_CBW_CLAIMS_H */
