// SPDX-License-Identifier: GPL-2.0-only
/* Running virsh, see virsh.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/io.h"
#include "base/log.h"
#include "base/time.h"
#include "vm/virsh.h"

#define MAX_ARGUMENTS 16
#define POLL_MS 20
#define ASK_MS 30000

/* Of virsh that cannot be run; no status of its own. */
#define STATUS_MISSING 127

static void exec_virsh(const struct virsh *virsh, pid_t parent,
		       const char *const *arguments, int output_fd, int error_fd)
{
	const char *argv[MAX_ARGUMENTS + 5] = { "virsh" };
	int null = open("/dev/null", O_RDWR), signal_number;
	unsigned int nr = 1, i;
	sigset_t none;

	/* A guard has them blocked. */
	for (signal_number = 1; signal_number < NSIG; signal_number++)
		signal(signal_number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (!virsh->outlives) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* It may have gone before. */
		if (getppid() != parent)
			_exit(STATUS_MISSING);
	}
	if (!virsh->talks)
		argv[nr++] = "--quiet";
	if (virsh->uri) {
		argv[nr++] = "--connect";
		argv[nr++] = virsh->uri;
	}
	for (i = 0; arguments[i] && i < MAX_ARGUMENTS; i++)
		argv[nr++] = arguments[i];
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(output_fd < 0 ? null : output_fd, STDOUT_FILENO) < 0 ||
	    dup2(error_fd, STDERR_FILENO) < 0)
		_exit(STATUS_MISSING);
	setenv("LC_ALL", "C", 1);
	execvp(argv[0], (char *const *)argv);
	_exit(STATUS_MISSING);
}

/* Returns the status as of waitpid(), or a negative errno after it was killed. */
static int wait_for(const struct virsh *virsh, pid_t pid)
{
	const uint64_t end_ns = monotonic_ns() + virsh->limit_ms * NS_PER_MS;
	int status, r = 0;

	while (!r && waitpid(pid, &status, WNOHANG) != pid) {
		if (monotonic_ns() >= end_ns)
			r = -ETIMEDOUT;
		else if (virsh->may_go_on && !virsh->may_go_on(virsh->argument))
			r = -ECANCELED;
		else
			poll(NULL, 0, POLL_MS);
	}
	if (!r)
		return status;
	kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return r;
}

/* As one line, without "error: ", which begins each line of virsh. */
static void take_reason(int fd, char *reason)
{
	static const char prefix[] = "error: ";
	char *text = io_read_text(fd, VIRSH_MAX_OUTPUT_BYTES), *line, *next;
	size_t used = 0;

	for (line = text; line && *line; line = next) {
		next = strchrnul(line, '\n');
		if (*next)
			*next++ = '\0';
		if (!strncmp(line, prefix, strlen(prefix)))
			line += strlen(prefix);
		if (!*line || used >= VIRSH_REASON_BYTES - 1)
			continue;
		used += snprintf(reason + used, VIRSH_REASON_BYTES - used,
				 "%s%s", used ? "; " : "", line);
	}
	free(text);
	if (!reason[0])
		snprintf(reason, VIRSH_REASON_BYTES, "virsh failed");
}

static int take_result(const struct virsh *virsh, int status, int error_fd,
		       char *reason)
{
	if (status == -ETIMEDOUT)
		snprintf(reason, VIRSH_REASON_BYTES,
			 "no answer of libvirt within %u s",
			 virsh->limit_ms / 1000);
	if (status < 0)
		return status;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_MISSING) {
		snprintf(reason, VIRSH_REASON_BYTES,
			 "virsh cannot be run; is libvirt-clients installed?");
		return -ENOENT;
	}
	take_reason(error_fd, reason);
	return -EIO;
}

static int run(const struct virsh *virsh, const char *const *arguments,
	       int output_fd, int error_fd, char *reason)
{
	const pid_t parent = getpid();
	pid_t pid = fork();
	int r;

	if (!pid) {
		/* A Ctrl-C is for this program. */
		setpgid(0, 0);
		exec_virsh(virsh, parent, arguments, output_fd, error_fd);
	}
	if (pid < 0) {
		r = -errno;
		snprintf(reason, VIRSH_REASON_BYTES, "%s", strerror(-r));
		return r;
	}
	setpgid(pid, pid);
	return take_result(virsh, wait_for(virsh, pid), error_fd, reason);
}

int virsh_run(const struct virsh *virsh, const char *const *arguments,
	      char **output, char reason[VIRSH_REASON_BYTES])
{
	int output_fd = output ? memfd_create("output", MFD_CLOEXEC) : -1;
	int error_fd = memfd_create("error", MFD_CLOEXEC), r = -EMFILE;

	snprintf(reason, VIRSH_REASON_BYTES, "no memory for what virsh says");
	if (error_fd >= 0 && (!output || output_fd >= 0)) {
		reason[0] = '\0';
		r = run(virsh, arguments, output_fd, error_fd, reason);
	}
	if (!r && output) {
		*output = io_read_text(output_fd, VIRSH_MAX_OUTPUT_BYTES);
		r = *output ? 0 : -EFBIG;
	}
	if (r == -EFBIG)
		snprintf(reason, VIRSH_REASON_BYTES,
			 "virsh prints more than %u MiB",
			 VIRSH_MAX_OUTPUT_BYTES >> 20);
	if (output_fd >= 0)
		close(output_fd);
	if (error_fd >= 0)
		close(error_fd);
	return r;
}

/* Is @line one of the lines of @text? */
static bool has_line(const char *text, const char *line)
{
	const size_t length = strlen(line);
	const char *at = text, *end;

	for (; *at; at = *end ? end + 1 : end) {
		end = strchrnul(at, '\n');
		if ((size_t)(end - at) == length && !strncmp(at, line, length))
			return true;
	}
	return false;
}

int virsh_list_has(const char *uri, const char *filter, const char *what,
		   const char *wanted, char reason[VIRSH_REASON_BYTES])
{
	const char *const arguments[] = { "list", "--all", what, filter, NULL };
	const struct virsh virsh = { .uri = uri, .limit_ms = ASK_MS };
	char *text;
	int r = virsh_run(&virsh, arguments, &text, reason);

	if (r)
		return r;
	r = has_line(text, wanted);
	free(text);
	return r;
}

/* As of DRIVER[+TRANSPORT]://[USER@][HOST]/... */
static bool is_local(const char *uri)
{
	const char *host = strstr(uri, "://");

	return host && host[3] == '/';
}

int virsh_check_local(const char *uri)
{
	static const char *const arguments[] = { "uri", NULL };
	const struct virsh virsh = { .uri = uri, .limit_ms = ASK_MS };
	char reason[VIRSH_REASON_BYTES], *text;
	int status = EXIT_OK;

	if (virsh_run(&virsh, arguments, &text, reason)) {
		error("libvirt cannot be asked: %s", reason);
		return EXIT_ERROR;
	}
	text[strcspn(text, "\n")] = '\0';
	if (!is_local(text)) {
		error("%s is the libvirt of another machine, and its devices are not here; run dmlive there, or choose one of this machine: --connect URI",
		      text);
		status = EXIT_REFUSED;
	}
	free(text);
	return status;
}
