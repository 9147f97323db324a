// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device mapper's ioctls, see dmctl.h.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "dmctl.h"

#define MAX_DATA_BYTES	16384u

struct request {
	struct dm_ioctl header;
	char data[MAX_DATA_BYTES];
};

static int control_fd = -1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_control(void)
{
	control_fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (control_fd < 0)
		err(2, "/dev/mapper/control");
}

static void prepare(struct request *request, const char *name,
		    unsigned int flags)
{
	struct dm_ioctl *header = &request->header;

	pthread_once(&once, open_control);
	memset(header, 0, sizeof(*header));
	header->version[0] = 4;
	header->data_size = sizeof(*request);
	header->data_start = offsetof(struct request, data);
	header->flags = flags;
	snprintf(header->name, sizeof(header->name), "%s", name);
}

static int run(struct request *request, unsigned long command)
{
	return ioctl(control_fd, command, request) ? errno : 0;
}

static int run_simple(unsigned long command, const char *name,
		      unsigned int flags)
{
	struct request request;

	prepare(&request, name, flags);
	return run(&request, command);
}

int dmctl_create(const char *name, dev_t *device)
{
	struct request request;
	int error;

	prepare(&request, name, 0);
	error = run(&request, DM_DEV_CREATE);
	if (!error)
		*device = request.header.dev;
	return error;
}

int dmctl_load(const char *name, uint64_t sectors, const char *target,
	       const char *arguments, bool read_only)
{
	struct dm_target_spec spec = { .length = sectors };
	struct request request;

	if (strlen(target) >= sizeof(spec.target_type) ||
	    sizeof(spec) + strlen(arguments) + 8 > MAX_DATA_BYTES)
		return E2BIG;
	prepare(&request, name, read_only ? DM_READONLY_FLAG : 0);
	memcpy(spec.target_type, target, strlen(target));
	spec.next = (sizeof(spec) + strlen(arguments) + 8) & ~7u;
	request.header.target_count = 1;
	memcpy(request.data, &spec, sizeof(spec));
	memcpy(request.data + sizeof(spec), arguments, strlen(arguments) + 1);
	return run(&request, DM_TABLE_LOAD);
}

int dmctl_clear(const char *name)
{
	return run_simple(DM_TABLE_CLEAR, name, 0);
}

int dmctl_suspend(const char *name, unsigned int flags)
{
	return run_simple(DM_DEV_SUSPEND, name, DM_SUSPEND_FLAG |
			  (flags & DMCTL_NOFLUSH ? DM_NOFLUSH_FLAG : 0) |
			  (flags & DMCTL_NOLOCKFS ? DM_SKIP_LOCKFS_FLAG : 0));
}

int dmctl_resume(const char *name)
{
	return run_simple(DM_DEV_SUSPEND, name, 0);
}

int dmctl_remove(const char *name)
{
	return run_simple(DM_DEV_REMOVE, name, 0);
}

int dmctl_message(const char *name, const char *text)
{
	struct dm_target_msg message = { };
	struct request request;

	if (sizeof(message) + strlen(text) + 1 > MAX_DATA_BYTES)
		return E2BIG;
	prepare(&request, name, 0);
	memcpy(request.data, &message, sizeof(message));
	memcpy(request.data + sizeof(message), text, strlen(text) + 1);
	return run(&request, DM_TARGET_MSG);
}

int dmctl_status(const char *name, bool table, char *text, size_t bytes)
{
	struct request request;
	int error;

	prepare(&request, name, table ? DM_STATUS_TABLE_FLAG : 0);
	error = run(&request, DM_TABLE_STATUS);
	if (!error && !request.header.target_count)
		error = ENXIO;
	if (!error)
		snprintf(text, bytes, "%s",
			 request.data + sizeof(struct dm_target_spec));
	return error;
}

const char *dmctl_path(dev_t device, char *path)
{
	snprintf(path, 32, "/dev/dm-%u", minor(device));
	return path;
}
