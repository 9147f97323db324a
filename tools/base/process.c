// SPDX-License-Identifier: GPL-2.0-only
/* Settings of a process that serves a disk. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

static bool is_independent;
static bool is_locked_for_good;

static char *command;

void process_take_arguments(char **argv)
{
	command = argv[0];
}

void process_survive_shutdown(void)
{
	if (command && command[0])
		command[0] = '@';
}

static void lock_memory(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		warning("cannot lock memory (%m): under memory pressure the device may stall");
}

void process_lock_memory(void)
{
	is_locked_for_good = true;
	lock_memory();
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
	/* Each arena reserves memory of its own, which is locked. */
	mallopt(M_ARENA_MAX, 2);
	/* Freed memory is kept: getting it back may have to wait. */
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
	process_lock_memory();
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		warning("cannot become an I/O flusher (%m): under memory pressure the device may stall");
	spare_from_oom_killer();
	is_independent = true;
}

static const int terminating[] = { SIGINT, SIGTERM, SIGHUP };

#define NR_TERMINATING (sizeof(terminating) / sizeof(terminating[0]))

static volatile sig_atomic_t late_signal;

static void keep_signal(int number)
{
	late_signal = number;
}

bool process_is_interrupted(void)
{
	return late_signal;
}

/* Signals that would end the process are only noted; without SA_RESTART. */
static void defer_signals(struct process_state *state)
{
	struct sigaction keep = { .sa_handler = keep_signal };
	size_t i;

	for (i = 0; i < NR_TERMINATING; i++) {
		sigaction(terminating[i], NULL, &state->actions[i]);
		if (state->actions[i].sa_handler == SIG_DFL)
			sigaction(terminating[i], &keep, NULL);
	}
}

static void block_signals(struct process_state *state)
{
	sigset_t set;
	size_t i;

	sigfillset(&set);
	/* That of a guard, see guard.h. */
	sigdelset(&set, SIGALRM);
	for (i = 0; state->terminable && i < NR_TERMINATING; i++)
		sigdelset(&set, terminating[i]);
	sigprocmask(SIG_BLOCK, &set, &state->signals);
}

void process_become_independent(struct process_state *state, bool terminable)
{
	state->was_independent = is_independent;
	if (is_independent)
		return;
	is_independent = true;
	state->terminable = terminable;
	if (terminable)
		defer_signals(state);
	block_signals(state);
	lock_memory();
	/* Memory must not be freed by writing to a suspended device. */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	log_hold();
}

void process_become_ordinary(const struct process_state *state)
{
	size_t i;

	if (state->was_independent)
		return;
	is_independent = false;
	prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
	if (!is_locked_for_good)
		munlockall();
	/* Before a pending signal ends this process. */
	log_release();
	for (i = 0; state->terminable && i < NR_TERMINATING; i++)
		sigaction(terminating[i], &state->actions[i], NULL);
	sigprocmask(SIG_SETMASK, &state->signals, NULL);
	if (state->terminable && late_signal)
		raise(late_signal);
	late_signal = 0;
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
	/* Do not keep a file system busy that somebody may want to unmount. */
	if (chdir("/"))
		warning("cannot change to the root folder: %m");
}
