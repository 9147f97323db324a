/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CMD_EVENT_FENCE_H
#define DMLIVE_CMD_EVENT_FENCE_H

/*
 * The handler of events, for volumes that are restored in place: attach/in-place.h. One
 * that lvm2 has given its own table shows what was restored so far, so it is fenced.
 */

#include <stdbool.h>

#include "attach/volume.h"

/* The volume with this UUID, if it is one of these. To be freed in either case. */
bool event_fence_find(const char *uuid, struct volume *volume);

/*
 * Fence it, if it still has to be. Its lock is held, and lvm2's if @is_locked. @is_stable:
 * no command of lvm2 gives it another table at the same time, as the lock is held, or by
 * one that waits. An exit status, after a message.
 */
int event_fence(struct volume *volume, bool is_locked, bool is_stable);

#endif /* DMLIVE_CMD_EVENT_FENCE_H */
