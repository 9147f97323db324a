// SPDX-License-Identifier: GPL-2.0-only
/*
 * For LD_PRELOAD: KILL_AT=N ends the process, by SIGKILL, before its Nth step: a change of
 * a mapped device, or of a file in /etc/dmlive. Each process counts its own; commands that
 * it runs are spared. KILL_SIGNAL=N: another signal.
 */
#include <dlfcn.h>
#include <linux/dm-ioctl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int steps_left, signal_number = SIGKILL;

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("KILL_AT");

	steps_left = text ? atoi(text) : 0;
	unsetenv("KILL_AT");
	text = getenv("KILL_SIGNAL");
	if (text)
		signal_number = atoi(text);
}

static void step(void)
{
	if (steps_left && !--steps_left)
		kill(getpid(), signal_number);
}

static int is_change(unsigned long request)
{
	static const int changes[] = {
		DM_DEV_CREATE_CMD, DM_DEV_REMOVE_CMD, DM_DEV_SUSPEND_CMD,
		DM_TABLE_LOAD_CMD, DM_TABLE_CLEAR_CMD, DM_TARGET_MSG_CMD,
	};
	unsigned int i;

	if (_IOC_TYPE(request) != DM_IOCTL)
		return 0;
	for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		if (_IOC_NR(request) == (unsigned int)changes[i])
			return 1;
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*real)(int fd, unsigned long request, void *argument);
	void *argument;
	va_list args;

	real = dlsym(RTLD_NEXT, "ioctl");
	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if (is_change(request))
		step();
	return real(fd, request, argument);
}

int rename(const char *from, const char *to)
{
	int (*real)(const char *from, const char *to);

	real = dlsym(RTLD_NEXT, "rename");
	if (!strncmp(to, "/etc/dmlive/", 12))
		step();
	return real(from, to);
}

int unlink(const char *path)
{
	int (*real)(const char *path);

	real = dlsym(RTLD_NEXT, "unlink");
	if (!strncmp(path, "/etc/dmlive/", 12))
		step();
	return real(path);
}
