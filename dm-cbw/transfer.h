/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRANSFER_H
#define DM_CBW_TRANSFER_H

/* The job's copy, where guest writes have theirs in slots. */

#include "cbw.h"

struct cbw_chunk;
struct cbw_result;

/**
 * cbw_is_transfer - does it copy from origin and slots to the target?
 * Others copy from the origin to the store.
 */
static inline bool cbw_is_transfer(const struct cbw_copier *copier)
{
	return copier->is_job && copier->session->fleece;
}

/** cbw_transfer - read the blocks, wherever they are, and write the target */
void cbw_transfer(struct cbw_chunk *chunk, struct cbw_result *result);

/**
 * cbw_transfer_commit - the target has the blocks: nobody needs their slots any more
 * With the exclusive range lock and the lock held. The slots are noted in the
 * chunk, to be given back.
 */
void cbw_transfer_commit(struct cbw_chunk *chunk,
			 const struct cbw_extent *extent);

#endif /* DM_CBW_TRANSFER_H */
