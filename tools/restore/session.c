// SPDX-License-Identifier: GPL-2.0-only
/* The two processes of a restore, and the pipe between them. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/exit.h"
#include "lib/log.h"
#include "restore/session.h"

int session_run(const struct restore_request *request)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC)) {
		error_errno(errno, "cannot make a pipe");
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
		/* Out of reach of the terminal's signals. */
		setsid();
		exit(server_main(request, fds[1]));
	}
	close(fds[1]);
	return front_main(request, pid, fds[0]);
}
