// SPDX-License-Identifier: GPL-2.0-only
/*
 * For LD_PRELOAD: delays between a server's poll() and its WAIT.
 *
 * WAIT_HOLD=FILE: while FILE exists, WAIT is held back; FILE.held exists when one is.
 * WAIT_OLD=1: behave as a module without the flags of WAIT.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-alloctrack.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define POLL_US 10000

static void hold(const char *file)
{
	char held[4096];
	int fd;

	snprintf(held, sizeof(held), "%s.held", file);
	while (!access(file, F_OK)) {
		fd = open(held, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd >= 0)
			close(fd);
		usleep(POLL_US);
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*real)(int fd, unsigned long request, void *argument);
	const char *file = getenv("WAIT_HOLD");
	void *argument;
	va_list args;

	real = dlsym(RTLD_NEXT, "ioctl");
	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if (request == DM_ALLOCTRACK_IOC_WAIT) {
		if (file)
			hold(file);
		if (getenv("WAIT_OLD") &&
		    ((struct dm_alloctrack_wait *)argument)->flags) {
			errno = EINVAL;
			return -1;
		}
	}
	return real(fd, request, argument);
}
