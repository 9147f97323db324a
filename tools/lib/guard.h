/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_GUARD_H
#define DMLIVE_GUARD_H

/*
 * A process beside this one, which puts right what must not stay when this one is
 * killed: a device that is suspended hangs whoever uses it, for ever.
 *
 * It has a session of its own, all signals blocked, its memory locked, and waits. When
 * this process ends, whatever ends it, the kernel closes its end of a socket; by then no
 * system call of it is under way any more. That is what the guard waits for.
 */

#include <sys/types.h>

/* 0: there is none. */
struct guard {
	pid_t pid;
	int fd;
};

/*
 * Start one. @rescue is called in it if this process ends before guard_end(), with all
 * memory as it is now. No other thread may hold a lock that @rescue needs. 0, or a
 * negative errno after a message: then there is no guard.
 */
int guard_start(struct guard *guard, void (*rescue)(void *context),
		void *context);

/* All is right again. Returns when the guard is gone. */
void guard_end(struct guard *guard);

#endif /* DMLIVE_GUARD_H */
