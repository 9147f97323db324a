/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_INSTANCE_H
#define DM_LIVE_INSTANCE_H

#include <linux/types.h>

/**
 * dm_live_instance - a random UUID of 16 bytes, another one at each load
 *
 * What was recorded under it is of this run of the kernel: numbers of disks and counts
 * of sectors can be compared then. Any context.
 */
const u8 *dm_live_instance(void);

#endif /* DM_LIVE_INSTANCE_H */
