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
 *
 * A guard with a limit of time also steps in while this process lives: it may be in a
 * system call that waits for what it has suspended itself, and does not end. Then what
 * has begun is not to come to its end: guard_commit() fails from then on. Each second
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
 * The same with a limit of @seconds, 0: none, from now on. @rescue may be called several
 * times, also while this process lives.
 */
int guard_start_limited(struct guard *guard, unsigned int seconds,
			void (*rescue)(void *context), void *context);

/* The time has come: what was begun is given up. */
bool guard_has_acted(const struct guard *guard);

/*
 * What was begun is done, and only what is suspended or frozen has to be freed now, by
 * this process, or by the guard. False: the guard has given it up.
 */
bool guard_commit(struct guard *guard);

/* In @rescue: does the process live that the guard was started by? */
bool guard_is_alone(const struct guard *guard);

/* All is right again. Returns when the guard is gone. */
void guard_end(struct guard *guard);

#endif /* DMLIVE_GUARD_H */
