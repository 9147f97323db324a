/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_BLOCKS_H
#define DM_CBW_BLOCKS_H

/* Blocks and sectors of a session. */

#include "cbw.h"

static inline u64 cbw_block_bytes(const struct cbw_session *session)
{
	return 1ULL << (session->block_shift + SECTOR_SHIFT);
}

static inline u64 cbw_sector_to_block(const struct cbw_session *session,
				      sector_t sector)
{
	return sector >> session->block_shift;
}

static inline sector_t cbw_block_to_sector(const struct cbw_session *session,
					   u64 block)
{
	return (sector_t)block << session->block_shift;
}

/** cbw_end_sector - where the blocks before @end end. The last block may be short. */
static inline sector_t cbw_end_sector(const struct cbw_session *session,
				      u64 end)
{
	return min_t(sector_t, cbw_block_to_sector(session, end),
		     session->nr_sectors);
}

static inline sector_t cbw_range_sectors(const struct cbw_session *session,
					 u64 first, u64 nr)
{
	return cbw_end_sector(session, first + nr) -
	       cbw_block_to_sector(session, first);
}

/** cbw_copy_blocks - the most blocks that one copy moves, at least 1 */
static inline u64 cbw_copy_blocks(const struct cbw_session *session)
{
	return max_t(u64, CBW_COPY_BYTES / cbw_block_bytes(session), 1);
}

#endif /* DM_CBW_BLOCKS_H */
