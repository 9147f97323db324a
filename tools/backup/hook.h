/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_HOOK_H
#define DMLIVE_BACKUP_HOOK_H

/*
 * Commands of the user around the point in time, such as one that freezes the file
 * systems in a virtual machine, and one that thaws them. If the first was begun, the
 * second runs, whatever happens to this process: a child waits for that.
 */

#include <sys/types.h>

struct backup_request;

/* @pid: the child that runs the command behind, or 0; it does when @fd is closed. */
struct hook {
	int fd;
	pid_t pid;
};

/* Returns an exit status, after a message; hook_after() must be called in any case. */
int hook_before(const struct backup_request *request, struct hook *hook);

/* The same. It runs nothing if the command before the point in time was not begun. */
int hook_after(struct hook *hook);

#endif /* DMLIVE_BACKUP_HOOK_H */
