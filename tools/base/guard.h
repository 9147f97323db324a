/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_GUARD_H
#define DMLIVE_GUARD_H

/*
 * A process beside this one, which cleans up what must not stay when this one is
 * killed: a suspended device hangs all its users for ever.
 *
 * It has a session of its own, all signals blocked, its memory locked, and waits. When
 * this process ends, for whatever reason, the kernel closes its end of a socket, and
 * none of its system calls is under way any more. That is what the guard waits for.
 *
 * A guard with a time limit also acts while this process lives: the process may be in
 * a system call that waits for what it has suspended itself, and never ends. From then
 * on, guard_commit() fails, so that what was begun is not completed. Each second a
 * SIGALRM ends system calls that wait and can be interrupted.
 */

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct guard_shared;

/* pid 0: there is none. */
struct guard {
	pid_t pid;
	int fd;
	struct guard_shared *shared;
	struct sigaction on_alarm;	/* as it was */
};

/*
 * Start one. @rescue is called in it if this process ends before guard_end(), with all
 * memory as it is now. No other thread may hold a lock that @rescue needs. 0, or a
 * negative errno after a message: then there is no guard.
 */
int guard_start(struct guard *guard, void (*rescue)(void *context),
		void *context);

/*
 * The same with a time limit of @seconds from now on, 0: none. @rescue may be called
 * several times, also while this process lives.
 */
int guard_start_limited(struct guard *guard, unsigned int seconds,
			void (*rescue)(void *context), void *context);

/* Has the time limit passed? Then what was begun is given up. */
bool guard_has_acted(const struct guard *guard);

/*
 * What was begun is done; all that is left is to resume and thaw, by this process or
 * by the guard. False: the guard has given it up.
 */
bool guard_commit(struct guard *guard);

/* In @rescue: is the process that started the guard gone? */
bool guard_is_alone(const struct guard *guard);

/* There is nothing left to clean up. Returns when the guard is gone. */
void guard_end(struct guard *guard);

#endif /* DMLIVE_GUARD_H */
