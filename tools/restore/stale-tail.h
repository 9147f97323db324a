/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_STALE_TAIL_H
#define DMLIVE_RESTORE_STALE_TAIL_H

/*
 * What a previous user left at the end of a volume that is larger than what is
 * restored: the copy of a GPT, RAID superblocks, ZFS labels. Programs that look at
 * the whole volume would find them.
 */

#include <stdint.h>

#include "block/blockdev.h"

/*
 * Wipe the signatures that lie behind @from_bytes, durably, and report each kind. What
 * lies before that is neither changed nor needed. Returns an exit status, after a
 * message.
 */
int stale_tail_wipe(const struct blockdev *volume, uint64_t from_bytes);

#endif /* DMLIVE_RESTORE_STALE_TAIL_H */
