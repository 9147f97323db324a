// SPDX-License-Identifier: GPL-2.0-only
/* Settings of a process that serves a disk. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/process.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

static bool is_independent;

void process_lock_memory(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		warning("cannot lock memory (%m): under memory pressure the device may stall");
}

static void spare_from_oom_killer(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "-1000", 5) != 5)
		warning("cannot set oom_score_adj (%m): the OOM killer may end this server");
	if (fd >= 0)
		close(fd);
}

void process_become_server(void)
{
	/* Each arena reserves and locks memory of its own. */
	mallopt(M_ARENA_MAX, 2);
	/* Freed memory is kept: getting it back may have to wait. */
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
	process_lock_memory();
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		warning("cannot become an I/O flusher (%m): under memory pressure the device may stall");
	spare_from_oom_killer();
	is_independent = true;
}

void process_become_independent(struct process_state *state, bool terminable)
{
	sigset_t set;

	state->was_independent = is_independent;
	if (is_independent)
		return;
	is_independent = true;
	sigfillset(&set);
	if (terminable) {
		sigdelset(&set, SIGINT);
		sigdelset(&set, SIGTERM);
		sigdelset(&set, SIGHUP);
	}
	sigprocmask(SIG_BLOCK, &set, &state->signals);
	process_lock_memory();
	/* Memory is not to be freed by writing to what is suspended. */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	log_hold();
}

void process_become_ordinary(const struct process_state *state)
{
	if (state->was_independent)
		return;
	prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
	munlockall();
	sigprocmask(SIG_SETMASK, &state->signals, NULL);
	log_release();
	is_independent = false;
}

void process_leave_terminal(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		dup2(fd, STDIN_FILENO);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		if (fd > STDERR_FILENO)
			close(fd);
	}
	/* Not to hold a file system that somebody may want to unmount. */
	if (chdir("/"))
		warning("cannot change to the root folder: %m");
}

uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}
