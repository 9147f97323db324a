// SPDX-License-Identifier: GPL-2.0-only
/* The kernel's log, /dev/kmsg: each read gives one record. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/kernel-log.h"

/* The longest record that the kernel gives. */
#define RECORD_BYTES 8192

int kernel_log_mark(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && lseek(fd, 0, SEEK_END) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* "PRIORITY,SEQUENCE,TIME,FLAGS;TEXT\n", then lines for programs. */
static void take_record(char *record, const char *prefix, char *text,
			size_t text_bytes)
{
	char *line = strchr(record, ';');

	if (!line || strncmp(line + 1, prefix, strlen(prefix)))
		return;
	line += 1 + strlen(prefix);
	line[strcspn(line, "\n")] = '\0';
	snprintf(text, text_bytes, "%s", line);
}

const char *kernel_log_find(int mark, const char *prefix, char *text,
			    size_t text_bytes)
{
	char record[RECORD_BYTES];
	ssize_t length;

	text[0] = '\0';
	if (mark < 0)
		return text;
	for (;;) {
		length = read(mark, record, sizeof(record) - 1);
		/* EPIPE: records were dropped before they could be read. */
		if (length < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		if (length <= 0)
			break;
		record[length] = '\0';
		take_record(record, prefix, text, text_bytes);
	}
	close(mark);
	return text;
}
