/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_SUBMIT_H
#define DM_LIVE_SUBMIT_H

/* Sending a bio down later than, and elsewhere than, in the target's map function. */

#include <linux/blk_types.h>
#include <linux/device-mapper.h>

/**
 * dm_live_submit_deferred - send down a bio for which map said DM_MAPIO_SUBMITTED
 * @bio: with device and sector set
 *
 * The target must set dm_target.accounts_remapped_io. Otherwise device mapper starts
 * the accounting when map returns, and here again if a worker is as fast as that: the
 * device would count one more request in flight, for good.
 *
 * Context: a worker; may sleep.
 */
static inline void dm_live_submit_deferred(struct bio *bio)
{
	/*
	 * The submitter was told that the bio is on its way: BLK_STS_AGAIN cannot be
	 * returned any more, and it does not poll for a bio that is not at a device.
	 */
	bio->bi_opf &= ~(REQ_NOWAIT | REQ_POLLED);
	/* In the submitter's cgroup, not in the worker's. */
	dm_submit_bio_remap(bio, NULL);
}

#endif /* DM_LIVE_SUBMIT_H */
