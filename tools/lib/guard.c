// SPDX-License-Identifier: GPL-2.0-only
/* A process that outlives this one, see guard.h. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/guard.h"
#include "lib/log.h"
#include "lib/process.h"

/* 1: a byte came. 0: nobody is there any more. */
static int receive(int fd)
{
	ssize_t n;
	char byte;

	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	return n == 1;
}

static void stand_guard(int fd, void (*rescue)(void *context), void *context)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	/* Not killed along with the group of the other one. */
	setsid();
	process_leave_terminal();
	process_become_server();
	if (send(fd, "", 1, MSG_NOSIGNAL) == 1 && !receive(fd))
		rescue(context);
	_exit(0);
}

int guard_start(struct guard *guard, void (*rescue)(void *context),
		void *context)
{
	int fds[2], r;

	guard->pid = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		r = -errno;
		error_errno(r, "cannot make a socket");
		return r;
	}
	guard->pid = fork();
	if (!guard->pid) {
		close(fds[0]);
		stand_guard(fds[1], rescue, context);
	}
	r = guard->pid < 0 ? -errno : 0;
	close(fds[1]);
	guard->fd = fds[0];
	if (!r && receive(guard->fd))
		return 0;
	if (r) {
		guard->pid = 0;
		close(guard->fd);
	} else {
		guard_end(guard);
		r = -ECHILD;
	}
	error_errno(r, "cannot start the process that would resume a suspended device if this one was killed");
	return r;
}

void guard_end(struct guard *guard)
{
	if (!guard->pid)
		return;
	/* It may have been killed itself. */
	send(guard->fd, "", 1, MSG_NOSIGNAL);
	close(guard->fd);
	while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
		;
	guard->pid = 0;
}
