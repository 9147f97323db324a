/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_INSTANCE_H
#define DM_LIVE_INSTANCE_H

#include <linux/types.h>

/**
 * dm_live_instance - a random UUID of 16 bytes, a new one at each load
 *
 * What was recorded with this UUID is from this run of the kernel, so its disk numbers
 * and sector counts can be compared with those of now. Any context.
 */
const u8 *dm_live_instance(void);

#endif /* DM_LIVE_INSTANCE_H */
