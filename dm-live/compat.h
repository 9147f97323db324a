/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_COMPAT_H
#define DM_LIVE_COMPAT_H

/*
 * Differences between kernel versions, each named by what is missing. No other
 * file asks for a version.
 */

#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/version.h>

/* blk_mode_t and BLK_OPEN_* came with 05bdb9965305 ("block: replace fmode_t") */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
typedef fmode_t blk_mode_t;
#define BLK_OPEN_READ	FMODE_READ
#define BLK_OPEN_WRITE	FMODE_WRITE
#endif

/*
 * Device mapper stacks max_hw_discard_sectors alone since 4f563a64732d ("block:
 * add a max_user_discard_sectors queue limit"); before, both were stacked.
 */
static inline void dm_live_limits_set_discard(struct queue_limits *limits,
					      unsigned int granularity_bytes,
					      unsigned int max_sectors)
{
	limits->discard_granularity = granularity_bytes;
	limits->max_hw_discard_sectors = max_sectors;
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
	limits->max_discard_sectors = max_sectors;
#endif
}

#endif /* DM_LIVE_COMPAT_H */
