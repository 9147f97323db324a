/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TRANSFER_H
#define DM_CBW_TRANSFER_H

/* Transfers: the job's copies in a session with a fleece device and a target. */

#include "cbw.h"

struct cbw_chunk;
struct cbw_result;

/**
 * cbw_is_transfer - does the copier copy from origin and slots to the target?
 * Other copiers copy from the origin to the store.
 */
static inline bool cbw_is_transfer(const struct cbw_copier *copier)
{
	return copier->is_job && copier->session->fleece;
}

/** cbw_transfer - read the blocks from origin or slots, and write the target */
void cbw_transfer(struct cbw_chunk *chunk, struct cbw_result *result);

/**
 * cbw_transfer_commit - the target has the blocks, so their slots are not needed any more
 * With the exclusive range lock and cbw_session.lock held. The slots are stored in
 * the chunk; the caller frees them.
 */
void cbw_transfer_commit(struct cbw_chunk *chunk,
			 const struct cbw_extent *extent);

#endif /* DM_CBW_TRANSFER_H */
