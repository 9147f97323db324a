// SPDX-License-Identifier: GPL-2.0-only
/* Services of systemd, see systemd.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/systemd.h"

/* Longer names are refused by systemd. */
#define UNIT_NAME_BYTES 256

/* A second. */
#define READY_TRIES	50
#define READY_POLL_US	20000

extern char **environ;

static int socket_fd = -1;

void notify_init(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path ? strlen(path) : 0;

	if (length < 2 || length > sizeof(address.sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(address.sun_path, path, length);
	/* An abstract socket. */
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (socket_fd >= 0 &&
	    connect(socket_fd, (struct sockaddr *)&address,
		    offsetof(struct sockaddr_un, sun_path) + length)) {
		close(socket_fd);
		socket_fd = -1;
	}
	/* Not for the programs that this one runs. */
	unsetenv("NOTIFY_SOCKET");
}

/*
 * The manager may wait for the device that this process serves: do not wait for it. False:
 * it has not been told.
 */
static bool notify(const char *text)
{
	return socket_fd < 0 ||
	       send(socket_fd, text, strlen(text),
		    MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno != EAGAIN;
}

void notify_ready(void)
{
	unsigned int tries = READY_TRIES;

	/* Without it, the service would count as failed. */
	while (!notify("READY=1") && --tries)
		usleep(READY_POLL_US);
}

void notify_still_starting(void)
{
	notify("EXTEND_TIMEOUT_USEC=60000000");
}

void notify_status(const char *format, ...)
{
	char text[512] = "STATUS=";
	size_t length = strlen(text);
	va_list args;

	if (socket_fd < 0)
		return;
	va_start(args, format);
	vsnprintf(text + length, sizeof(text) - length, format, args);
	va_end(args);
	/* One line. */
	text[strcspn(text, "\n")] = '\0';
	notify(text);
}

static bool is_plain(char c, bool is_first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == ':' || c == '_' ||
	       (c == '.' && !is_first);
}

/* Slashes at the ends go, several count as one, and / itself becomes a dash. */
static void escape(FILE *out, const char *path)
{
	bool is_first = true;

	for (; *path; path++) {
		if (*path == '/') {
			while (path[1] == '/')
				path++;
			if (path[1] && !is_first)
				fputc('-', out);
			continue;
		}
		if (is_plain(*path, is_first))
			fputc(*path, out);
		else
			fprintf(out, "\\x%02x", (unsigned char)*path);
		is_first = false;
	}
	if (is_first)
		fputc('-', out);
}

bool unit_name_of_path(const char *prefix, const char *path, const char *suffix,
		       char *name, size_t name_bytes)
{
	bool fits = false;
	size_t length;
	char *text;
	FILE *out;

	if (path[0] != '/')
		return false;
	out = open_memstream(&text, &length);
	if (!out)
		return false;
	fputs(prefix, out);
	escape(out, path);
	fputs(suffix, out);
	if (!fclose(out) && length < name_bytes && length < UNIT_NAME_BYTES) {
		memcpy(name, text, length + 1);
		fits = true;
	}
	free(text);
	return fits;
}

/* Run a program, without its output; @quiet: and without its messages. */
static int run(char *const arguments[], bool quiet)
{
	posix_spawn_file_actions_t actions;
	int status, r;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null",
					 O_WRONLY, 0);
	if (quiet)
		posix_spawn_file_actions_addopen(&actions, STDERR_FILENO,
						 "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(&pid, arguments[0], &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r)
		return -r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int unit_start(const char *name, bool wait, bool quiet)
{
	char *const waiting[] = { "systemctl", "start", "--", (char *)name, NULL };
	char *const queued[] = { "systemctl", "start", "--no-block", "--",
				 (char *)name, NULL };

	return run(wait ? waiting : queued, quiet);
}

void unit_start_mounts_of(const char *path)
{
	char folder[PATH_MAX], name[UNIT_NAME_BYTES];
	char *slash;

	if (path[0] != '/')
		return;
	snprintf(folder, sizeof(folder), "%s", path);
	for (slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (unit_name_of_path("", folder, ".mount", name, sizeof(name)))
			unit_start(name, true, true);
		*slash = '/';
	}
}

/* In the last part of a shutdown, systemd-shutdown is the init process. */
bool system_is_running(void)
{
	char name[32] = "", state[32] = "";
	FILE *file = fopen("/proc/1/comm", "re");

	if (file && !fgets(name, sizeof(name), file))
		name[0] = '\0';
	if (file)
		fclose(file);
	if (strcmp(name, "systemd\n"))
		return false;
	file = popen("exec systemctl is-system-running 2> /dev/null", "re");
	if (!file)
		return false;
	if (!fgets(state, sizeof(state), file))
		state[0] = '\0';
	pclose(file);
	return !strcmp(state, "running\n") || !strcmp(state, "degraded\n") ||
	       !strcmp(state, "starting\n");
}

bool unit_separate(pid_t pid, const char *description)
{
	char unit[64], number[16];
	char *const arguments[] = {
		"busctl", "--timeout=5", "--quiet", "call", "org.freedesktop.systemd1",
		"/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
		"StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", "6",
		"Description", "s", (char *)description,
		"PIDs", "au", "1", number,
		"DefaultDependencies", "b", "false",
		"IgnoreOnIsolate", "b", "true",
		"RefuseManualStop", "b", "true",
		"CollectMode", "s", "inactive-or-failed",
		"0", NULL
	};

	/* As sd_booted(3). */
	if (access("/run/systemd/system", F_OK))
		return true;
	snprintf(unit, sizeof(unit), "dmlive-restore-%d.scope", pid);
	snprintf(number, sizeof(number), "%d", pid);
	return !run(arguments, true);
}
