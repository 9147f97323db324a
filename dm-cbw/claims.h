/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_CLAIMS_H
#define DM_CBW_CLAIMS_H

/* Claims: who copies which blocks. All with cbw_session.lock held. */

#include <linux/types.h>

struct cbw_copier;
struct dm_live_bitmap;

/** cbw_todo_of - the bitmap of what copiers of this kind have to copy */
struct dm_live_bitmap *cbw_todo_of(const struct cbw_copier *copier);

/** cbw_is_claimed - does a claim of another copier keep @copier from @block? */
bool cbw_is_claimed(const struct cbw_copier *copier, u64 block);

/**
 * cbw_next_unclaimed - find a block to claim
 * Return: the first block in [@block, @end) that copiers of this kind have to copy
 * and that none of them has claimed, or @end.
 */
u64 cbw_next_unclaimed(const struct cbw_copier *copier, u64 block, u64 end);

/** cbw_end_claim - where a claim that starts at @block has to end */
u64 cbw_end_claim(const struct cbw_copier *copier, u64 block, u64 end);

/** cbw_has_claims - do copiers of this kind have any claims? */
bool cbw_has_claims(const struct cbw_copier *copier);

/** cbw_nr_claimed - how many blocks the copier has claimed. No lock. */
u64 cbw_nr_claimed(const struct cbw_copier *copier);

/** cbw_claim - claim unclaimed blocks; at most CBW_MAX_EXTENTS times */
void cbw_claim(struct cbw_copier *copier, u64 first, u64 nr);

/**
 * cbw_unclaim - drop all claims, so that guest writes and the job can go on
 * Context: no lock. May sleep: submits guest writes.
 */
void cbw_unclaim(struct cbw_copier *copier);

#endif /* DM_CBW_CLAIMS_H */
