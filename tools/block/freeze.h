/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_FREEZE_H
#define DMLIVE_FREEZE_H

/*
 * Freezing the mounted file systems that use some block devices, all before the first
 * of these is suspended.
 *
 * Suspending a device freezes the file system on it, but no other one. If that file
 * system has its journal on another device, which is suspended already, the freeze
 * would wait for that for ever, in the kernel, where no signal helps. And a file system
 * that lies on the device through a partition, a RAID or a loop device would not be
 * frozen at all.
 *
 * Freezes those that can be seen: mounted in the mount namespace of this or of another
 * process. Not those that a device lies on, through a loop device: its last writes go
 * through them. The record of what was frozen is in memory shared with a process that
 * is forked later, so that either can thaw it, and only what we have frozen.
 */

#include <stdbool.h>
#include <sys/types.h>

struct freeze;

/*
 * Find them, open them, and write out what is dirty, so that freezing takes less long.
 * NULL after a message.
 */
struct freeze *freeze_prepare(const dev_t *devices, unsigned int nr);

/*
 * Freeze all, those on top first, as long as @may_go_on() says so. One that somebody
 * else has frozen already is left to them. One that cannot be frozen from here, because
 * the kernel cannot do it, or no path leads there, is left to the suspend of its
 * device.
 *
 * Return: 0, or a negative errno after a message; -ECANCELED, without one: it may not
 * go on. What was frozen so far stays frozen.
 */
int freeze_all(struct freeze *freeze, bool (*may_go_on)(void *argument),
	       void *argument);

/* What is being frozen, or was last: where it is mounted. NULL: none. */
const char *freeze_current(const struct freeze *freeze);

/* Is a file system that @devt is a part of frozen? Then its suspend must not freeze. */
bool freeze_holds(const struct freeze *freeze, dev_t devt);

/*
 * Thaw all that we have frozen, those at the bottom first. Of several processes, only
 * one thaws each. @abandoned: the process that froze them is gone, perhaps in the
 * middle of it. The devices must have been resumed.
 */
void freeze_thaw(struct freeze *freeze, bool abandoned);

/* NULL: nothing. */
void freeze_free(struct freeze *freeze);

#endif /* DMLIVE_FREEZE_H */
