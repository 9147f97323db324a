// SPDX-License-Identifier: GPL-2.0-only
/* The log of `dmlive attach --event`, see event-log.h. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/event-log.h"

/* Nothing can be done about a log that cannot be written. */
static void write_all(int fd, const char *text)
{
	ssize_t ignored = write(fd, text, strlen(text));

	(void)ignored;
}

/* udev drops what programs print: to the kernel's log, and standard error all the same. */
static void log_event(enum log_level level, const char *line)
{
	static const int priorities[] = {
		[LOG_LEVEL_ERROR] = LOG_ERR,
		[LOG_LEVEL_WARNING] = LOG_WARNING,
		[LOG_LEVEL_INFO] = LOG_INFO,
	};
	char text[1100], *message;
	int fd;

	snprintf(text, sizeof(text), "<%d>dmlive: %.1050s\n",
		 LOG_DAEMON | priorities[level], line);
	message = strchr(text, '>') + 1;
	write_all(STDERR_FILENO, message);
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	write_all(fd, text);
	close(fd);
}

static void drop(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

void event_log_use(bool use)
{
	log_set_sink(use ? log_event : NULL);
}

void event_log_hush(bool hush)
{
	log_set_sink(hush ? drop : log_event);
}
