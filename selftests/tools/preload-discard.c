// SPDX-License-Identifier: GPL-2.0-only
/*
 * For LD_PRELOAD: a process that is killed before or after its first discard, as
 * DISCARD_KILL=before or =after says.
 */
#include <dlfcn.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void die_if(const char *when)
{
	const char *wanted = getenv("DISCARD_KILL");

	if (wanted && !strcmp(wanted, when))
		kill(getpid(), SIGKILL);
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*real)(int fd, unsigned long request, void *argument);
	void *argument;
	va_list args;
	int r;

	real = dlsym(RTLD_NEXT, "ioctl");
	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if (request != BLKDISCARD)
		return real(fd, request, argument);
	die_if("before");
	r = real(fd, request, argument);
	die_if("after");
	return r;
}
