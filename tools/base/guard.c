// SPDX-License-Identifier: GPL-2.0-only
/* A process that outlives this one, see guard.h. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/log.h"
#include "base/process.h"

enum state {
	STATE_BEGUN,
	STATE_COMMITTED,
	STATE_GIVEN_UP,
};

/* What both processes see. */
struct guard_shared {
	_Atomic int state;
	_Atomic bool is_alone;
};

#define REPEAT_MS 1000

/* 1: a byte came. 0: the other end is closed. */
static int receive(int fd)
{
	ssize_t n;
	char byte;

	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	return n == 1;
}

/* False: nothing came in this time. */
static bool wait_for(int fd, int ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, ms) != 0;
}

static void act_in_time(struct guard *guard, void (*rescue)(void *context),
			void *context, pid_t parent)
{
	int begun = STATE_BEGUN;

	atomic_compare_exchange_strong(&guard->shared->state, &begun,
				       STATE_GIVEN_UP);
	kill(parent, SIGALRM);
	rescue(context);
}

static void stand_guard(struct guard *guard, int fd, unsigned int seconds,
			void (*rescue)(void *context), void *context)
{
	int ms = seconds && seconds < INT_MAX / 1000 ? (int)seconds * 1000 : -1;
	pid_t parent = getppid();
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	/* So that it is not killed along with the group of the other process. */
	setsid();
	process_leave_terminal();
	process_become_server();
	if (send(fd, "", 1, MSG_NOSIGNAL) != 1)
		_exit(0);
	for (; !wait_for(fd, ms); ms = REPEAT_MS)
		act_in_time(guard, rescue, context, parent);
	if (!receive(fd)) {
		atomic_store(&guard->shared->is_alone, true);
		rescue(context);
	}
	_exit(0);
}

static void take_alarm(int number)
{
	(void)number;
}

static int map_shared(struct guard *guard)
{
	void *shared = mmap(NULL, sizeof(*guard->shared),
			    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);

	if (shared == MAP_FAILED) {
		error_errno(errno, "cannot share memory");
		return -ENOMEM;
	}
	guard->shared = shared;
	return 0;
}

/* System calls are not restarted. */
static void catch_alarm(struct guard *guard)
{
	struct sigaction action = { .sa_handler = take_alarm };

	sigaction(SIGALRM, &action, &guard->on_alarm);
}

static int begin(struct guard *guard, unsigned int seconds,
		 void (*rescue)(void *context), void *context)
{
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		r = -errno;
		error_errno(r, "cannot make a socket");
		return r;
	}
	catch_alarm(guard);
	guard->pid = fork();
	if (!guard->pid) {
		close(fds[0]);
		stand_guard(guard, fds[1], seconds, rescue, context);
	}
	r = guard->pid < 0 ? -errno : 0;
	close(fds[1]);
	guard->fd = fds[0];
	if (!r && receive(guard->fd))
		return 0;
	if (r) {
		guard->pid = 0;
		close(guard->fd);
		sigaction(SIGALRM, &guard->on_alarm, NULL);
	} else {
		guard_end(guard);
		r = -ECHILD;
	}
	error_errno(r, "cannot start the process that would resume a suspended device if this one was killed");
	return r;
}

int guard_start_limited(struct guard *guard, unsigned int seconds,
			void (*rescue)(void *context), void *context)
{
	int r;

	guard->pid = 0;
	r = map_shared(guard);
	if (r)
		return r;
	r = begin(guard, seconds, rescue, context);
	if (r && guard->shared) {
		munmap(guard->shared, sizeof(*guard->shared));
		guard->shared = NULL;
	}
	return r;
}

int guard_start(struct guard *guard, void (*rescue)(void *context),
		void *context)
{
	return guard_start_limited(guard, 0, rescue, context);
}

bool guard_has_acted(const struct guard *guard)
{
	return atomic_load(&guard->shared->state) == STATE_GIVEN_UP;
}

bool guard_commit(struct guard *guard)
{
	int begun = STATE_BEGUN;

	return atomic_compare_exchange_strong(&guard->shared->state, &begun,
					      STATE_COMMITTED);
}

bool guard_is_alone(const struct guard *guard)
{
	return atomic_load(&guard->shared->is_alone);
}

void guard_end(struct guard *guard)
{
	if (!guard->pid)
		return;
	/* The guard may have been killed itself. */
	send(guard->fd, "", 1, MSG_NOSIGNAL);
	close(guard->fd);
	while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
		;
	guard->pid = 0;
	sigaction(SIGALRM, &guard->on_alarm, NULL);
	munmap(guard->shared, sizeof(*guard->shared));
	guard->shared = NULL;
}
