// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls of /dev/dm-alloctrack, see server.h.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "server.h"

#define LOOP_RANGES	8	/* of one WAIT */

const char *server_error_name(int error)
{
	return error ? strerrorname_np(error) : "ok";
}

dev_t server_parse_device(const char *text)
{
	unsigned int major_number, minor_number;

	if (sscanf(text, "%u:%u", &major_number, &minor_number) != 2)
		errx(2, "%s: not MAJOR:MINOR", text);
	return makedev(major_number, minor_number);
}

int server_call(int fd, unsigned long command, void *argument)
{
	return ioctl(fd, command, argument) ? errno : 0;
}

int server_open(int flags)
{
	return open(SERVER_NODE, O_RDWR | O_CLOEXEC | flags);
}

int server_attach(int fd, dev_t device)
{
	struct dm_alloctrack_attach attach = {
		.size = sizeof(attach), .major = major(device), .minor = minor(device),
	};

	return server_call(fd, DM_ALLOCTRACK_IOC_ATTACH, &attach);
}

int server_must_open(int flags)
{
	int fd = server_open(flags);

	if (fd < 0)
		err(2, SERVER_NODE);
	return fd;
}

int server_open_attached(dev_t device, int flags)
{
	int fd = server_must_open(flags);
	int error = server_attach(fd, device);

	if (error)
		errx(2, "ATTACH: %s", server_error_name(error));
	return fd;
}

int server_info(int fd, struct dm_alloctrack_info *info)
{
	*info = (struct dm_alloctrack_info) { .size = sizeof(*info) };
	return server_call(fd, DM_ALLOCTRACK_IOC_INFO, info);
}

int server_next(int fd, uint32_t flags, uint64_t offset, struct dm_alloctrack_next *next)
{
	*next = (struct dm_alloctrack_next) {
		.size = sizeof(*next), .flags = flags, .offset = offset,
	};
	return server_call(fd, DM_ALLOCTRACK_IOC_NEXT, next);
}

int server_wait(int fd, uint32_t flags, struct dm_alloctrack_range *ranges, uint32_t max,
		uint32_t *nr)
{
	struct dm_alloctrack_wait wait = {
		.size = sizeof(wait), .flags = flags, .max = max,
		.ranges = (uintptr_t)ranges,
	};
	int error = server_call(fd, DM_ALLOCTRACK_IOC_WAIT, &wait);

	if (nr)
		*nr = wait.nr;
	return error;
}

int server_fill(int fd, uint32_t flags, uint64_t offset, uint64_t length,
		const void *buffer, uint64_t *used_bytes)
{
	struct dm_alloctrack_fill fill = {
		.size = sizeof(fill), .flags = flags, .offset = offset,
		.length = length, .buffer = (uintptr_t)buffer,
	};
	int error = server_call(fd, DM_ALLOCTRACK_IOC_FILL, &fill);

	if (used_bytes)
		*used_bytes = fill.used_bytes;
	return error;
}

int server_zero(int fd, uint32_t flags, uint64_t offset, uint64_t length,
		uint64_t *used_bytes)
{
	struct dm_alloctrack_zero zero = {
		.size = sizeof(zero), .flags = flags, .offset = offset, .length = length,
	};
	int error = server_call(fd, DM_ALLOCTRACK_IOC_ZERO, &zero);

	if (used_bytes)
		*used_bytes = zero.used_bytes;
	return error;
}

int server_fail(int fd, uint32_t flags, uint64_t offset, uint64_t length, uint32_t error)
{
	struct dm_alloctrack_fail fail = {
		.size = sizeof(fail), .flags = flags, .offset = offset,
		.length = length, .error = error,
	};

	return server_call(fd, DM_ALLOCTRACK_IOC_FAIL, &fail);
}

int server_loop(int fd, void (*serve)(const struct dm_alloctrack_range *range))
{
	struct dm_alloctrack_range ranges[LOOP_RANGES];
	uint32_t nr, i;
	int error;

	while (!(error = server_wait(fd, 0, ranges, LOOP_RANGES, &nr)))
		for (i = 0; i < nr; i++)
			serve(&ranges[i]);
	return error;
}

short server_poll(int fd, short events, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	if (poll(&poll_fd, 1, timeout_ms) < 0)
		err(2, "poll");
	return poll_fd.revents;
}
