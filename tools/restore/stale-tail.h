/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_STALE_TAIL_H
#define DMLIVE_RESTORE_STALE_TAIL_H

/*
 * Signatures that an earlier user left at the end of a volume that is larger than the
 * restored device: the copy of a GPT, RAID superblocks, ZFS labels. Programs that examine
 * the whole volume would find them.
 */

#include <stdint.h>

#include "block/blockdev.h"

/*
 * Wipe the signatures behind @from_bytes, durably, and report each kind. What lies before
 * is not changed, and may be anything. Returns an exit status, after a message.
 */
int stale_tail_wipe(const struct blockdev *volume, uint64_t from_bytes);

#endif /* DMLIVE_RESTORE_STALE_TAIL_H */
