// SPDX-License-Identifier: GPL-2.0-only
/*
 * For LD_PRELOAD: a process that is killed before or after its first discard, as
 * DISCARD_KILL=before or =after says; or whose discards succeed without being done, as
 * those of dm-thin may: DISCARD_KILL=never.
 */
#include <dlfcn.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_wanted(const char *what)
{
	const char *wanted = getenv("DISCARD_KILL");

	return wanted && !strcmp(wanted, what);
}

static void die_if(const char *when)
{
	if (is_wanted(when))
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
	if (is_wanted("never"))
		return 0;
	die_if("before");
	r = real(fd, request, argument);
	die_if("after");
	return r;
}
