/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_FREEZE_H
#define DMLIVE_FREEZE_H

/*
 * Freezing the mounted file systems that use some block devices, all before the first
 * of these is suspended.
 *
 * A device that is suspended freezes the file system on it, but no other one: that of a
 * file system that has its journal on another device, which is suspended already, would
 * wait for that for ever, in the kernel, where no signal helps. And one that lies on the
 * device through a partition, a RAID or a loop device would not be frozen at all.
 *
 * Frozen are those that can be seen: mounted in the mount namespace of this or of
 * another process. Not those that a device lies on, through a loop device: its last
 * writes go through them. Who has frozen what is in memory that a process forked later
 * shares, so that either can thaw it, and only what was frozen here.
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
 * Freeze all, those on top first, as long as @may_go_on() says so. One that is frozen
 * already, by somebody else, is left to him. What cannot be frozen from outside, as the
 * kernel has no way to, or no path leads there, is left to the suspend of its device.
 *
 * Return: 0, or a negative errno after a message; -ECANCELED, without one: it may not
 * go on. What is frozen by then stays so.
 */
int freeze_all(struct freeze *freeze, bool (*may_go_on)(void *argument),
	       void *argument);

/* What is being frozen, or was last: where it is mounted. NULL: none. */
const char *freeze_current(const struct freeze *freeze);

/* Is a file system that @devt is a part of frozen? Then its suspend must not freeze. */
bool freeze_holds(const struct freeze *freeze, dev_t devt);

/*
 * Thaw all that was frozen here, those at the bottom first. Of several processes, only one
 * thaws each. @abandoned: the process that froze is gone, perhaps in the midst of it.
 * The devices must have been resumed.
 */
void freeze_thaw(struct freeze *freeze, bool abandoned);

/* NULL: nothing. */
void freeze_free(struct freeze *freeze);

#endif /* DMLIVE_FREEZE_H */
