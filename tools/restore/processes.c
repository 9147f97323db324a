// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two processes of a restore, and the pipe between them.
 *
 * The server outlives the processes that started it. It inherits none of their file
 * descriptors: they could be locks, or pipes whose readers wait for the end of file.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/dm.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/process.h"
#include "base/systemd.h"
#include "restore/processes.h"

#define FIRST_INHERITED_FD (STDERR_FILENO + 1)

static bool is_of_descriptor(const char *path)
{
	static const char *const folders[] = { "/dev/fd/", "/proc/self/fd/" };
	size_t i;

	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (!strncmp(path, folders[i], strlen(folders[i])))
			return true;
	return false;
}

/* Replace the path of a descriptor, which the server closes, by that of its file. */
static int resolve(const char **path)
{
	char *real;

	if (!*path || !is_of_descriptor(*path))
		return EXIT_OK;
	real = realpath(*path, NULL);
	if (!real) {
		error("%s cannot be opened by name, as dmlive resume must be able to do; give the path of a file or device",
		      *path);
		return EXIT_REFUSED;
	}
	/* Kept until the process ends. */
	*path = real;
	return EXIT_OK;
}

int request_each_path(struct restore_request *request,
		      int (*each)(const char **path))
{
	const char **paths[] = {
		&request->image, &request->volume, &request->moved_volume,
		&request->meta, &request->track_meta,
	};
	int status = EXIT_OK;
	size_t i;

	for (i = 0; !status && i < sizeof(paths) / sizeof(paths[0]); i++)
		status = each(paths[i]);
	return status;
}

static void close_inherited(int report_fd)
{
	dm_release();
	if (report_fd > FIRST_INHERITED_FD)
		close_range(FIRST_INHERITED_FD, report_fd - 1, 0);
	close_range(report_fd < FIRST_INHERITED_FD ? FIRST_INHERITED_FD :
		    report_fd + 1, UINT_MAX, 0);
}

static int serve(const struct restore_request *request, int report_fd)
{
	/* The terminal's signals no longer reach this process. */
	setsid();
	process_survive_shutdown();
	close_inherited(report_fd);
	return server_main(request, report_fd);
}

int processes_serve(struct restore_request *request)
{
	notify_init();
	process_survive_shutdown();
	return server_main(request, -1);
}

/* A session or a service that ends would end the server too. */
static void separate(const struct restore_request *request, pid_t server)
{
	char text[DM_NAME_BYTES + 32];

	snprintf(text, sizeof(text), "dmlive: restore of %s", request->name);
	if (!unit_separate(server, text))
		warning("%s: its server cannot get a unit of its own from systemd, and ends with the session or service that it was started in; from there, and at a shutdown, I/O may hang",
			request->name);
}

int processes_run(struct restore_request *request)
{
	int status = request_each_path(request, resolve);
	int fds[2];
	pid_t pid;

	if (status)
		return status;
	if (pipe2(fds, O_CLOEXEC)) {
		error_errno(errno, "cannot create a pipe");
		return EXIT_ERROR;
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		error_errno(errno, "cannot start the server process");
		return EXIT_ERROR;
	}
	if (!pid) {
		close(fds[0]);
		exit(serve(request, fds[1]));
	}
	close(fds[1]);
	separate(request, pid);
	return front_end_main(request, pid, fds[0]);
}
