// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands around the point in time, see hook.h.
 *
 * The command behind is run by a child that was made before the command in front of it,
 * and that waits at a pipe, which the kernel closes if this process is killed. It ignores
 * the signals that end this process, as does its command: what is frozen must be thawed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backup/backup.h"
#include "backup/hook.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/time.h"

#define POLL_MS 20

/* 10 s. */
#define END_TRIES 500

static void set_signals(void (*handler)(int number))
{
	sigset_t none;

	signal(SIGINT, handler);
	signal(SIGTERM, handler);
	signal(SIGHUP, handler);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Standard output may be read by a program. */
static void run_shell(const char *command, void (*handler)(int number))
{
	int null = open("/dev/null", O_RDONLY);

	setpgid(0, 0);
	set_signals(handler);
	dup2(null, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	close_range(STDERR_FILENO + 1, ~0u, 0);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

/* A pipe takes so few bytes in one piece, and at once. */
static void tell(int fd, pid_t pid)
{
	if (fd >= 0 && write(fd, &pid, sizeof(pid)) < 0)
		warning("the process for --after: %s", strerror(errno));
}

static int explain(const char *option, const char *command, int state)
{
	if (WIFEXITED(state) && !WEXITSTATUS(state))
		return EXIT_OK;
	if (WIFEXITED(state))
		error("%s: '%s' ended with status %d", option, command,
		      WEXITSTATUS(state));
	else
		error("%s: '%s' was ended by signal %d", option, command,
		      WTERMSIG(state));
	return EXIT_ERROR;
}

/*
 * What the command has left in the background is not waited for. Its process, and 0 when
 * it has ended, are told to @tell_fd, if that is not -1.
 */
static int run_command(const char *option, const char *command,
		       void (*handler)(int number), unsigned int limit_s,
		       int tell_fd)
{
	const uint64_t end_ns = monotonic_ns() + limit_s * NS_PER_SECOND;
	pid_t pid = fork(), ended;
	int state = 0;

	if (!pid)
		run_shell(command, handler);
	if (pid < 0) {
		error_errno(errno, "%s: '%s'", option, command);
		return EXIT_ERROR;
	}
	tell(tell_fd, pid);
	while (!(ended = waitpid(pid, &state, WNOHANG)) ||
	       (ended < 0 && errno == EINTR)) {
		if (limit_s && monotonic_ns() >= end_ns) {
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			waitpid(pid, &state, 0);
			tell(tell_fd, 0);
			error("%s: '%s' did not end within %u s, and was killed; to allow more: --hook-timeout",
			      option, command, limit_s);
			return EXIT_ERROR;
		}
		poll(NULL, 0, POLL_MS);
	}
	tell(tell_fd, 0);
	return explain(option, command, state);
}

/*
 * The process that ran the command in front was killed meanwhile. What that command does
 * would come behind what the other one takes back.
 */
static void end_command(pid_t pid)
{
	unsigned int tries = END_TRIES;

	while (pid && (!kill(-pid, SIGKILL) || !kill(pid, SIGKILL)) && --tries)
		poll(NULL, 0, POLL_MS);
}

/* In the child. It keeps no lock of this process. */
static void wait_and_run(const struct backup_request *request, int fd)
{
	pid_t pid, running = 0;
	ssize_t nr;

	setpgid(0, 0);
	set_signals(SIG_IGN);
	prctl(PR_SET_NAME, "dmlive-hook");
	log_set_sink(NULL);
	dup2(fd, STDERR_FILENO + 1);
	close_range(STDERR_FILENO + 2, ~0u, 0);
	do {
		nr = read(STDERR_FILENO + 1, &pid, sizeof(pid));
		if (nr == sizeof(pid))
			running = pid;
	} while (nr > 0 || (nr < 0 && errno == EINTR));
	end_command(running);
	_exit(run_command("--after", request->after, SIG_IGN,
			  request->hook_timeout_s, -1));
}

static int start_child(const struct backup_request *request, struct hook *hook)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC)) {
		error_errno(errno, "--after");
		return EXIT_ERROR;
	}
	hook->pid = fork();
	if (!hook->pid)
		wait_and_run(request, fds[0]);
	close(fds[0]);
	if (hook->pid > 0) {
		hook->fd = fds[1];
		return EXIT_OK;
	}
	error_errno(errno, "--after");
	close(fds[1]);
	hook->pid = 0;
	return EXIT_ERROR;
}

int hook_before(const struct backup_request *request, struct hook *hook)
{
	int status = EXIT_OK;

	*hook = (struct hook){ .fd = -1 };
	if (request->after)
		status = start_child(request, hook);
	if (!status && request->before)
		status = run_command("--before", request->before, SIG_DFL,
				     request->hook_timeout_s, hook->fd);
	return status;
}

int hook_after(struct hook *hook)
{
	int state;

	if (!hook->pid)
		return EXIT_OK;
	close(hook->fd);
	while (waitpid(hook->pid, &state, 0) < 0)
		if (errno != EINTR)
			return EXIT_ERROR;
	hook->pid = 0;
	return WIFEXITED(state) && !WEXITSTATUS(state) ? EXIT_OK : EXIT_ERROR;
}
