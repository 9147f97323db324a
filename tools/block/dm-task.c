// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tasks of libdevmapper, see dm-task.h.
 *
 * libdevmapper prints its own errors; here they are caught, and the last one is
 * added to the message of the call that failed.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/dm-task.h"
#include "base/log.h"

/* The level of libdevmapper's log for errors. */
#define LOG_ERROR_LEVEL 3
#define LOG_LEVEL_MASK 7

static char last_message[256];

static void catch_message(int level, const char *file, int line,
			  int error_class, const char *format, ...)
{
	va_list args;

	(void)file;
	(void)line;
	(void)error_class;
	if ((level & LOG_LEVEL_MASK) > LOG_ERROR_LEVEL)
		return;
	va_start(args, format);
	vsnprintf(last_message, sizeof(last_message), format, args);
	va_end(args);
}

void dm_init(void)
{
	dm_log_with_errno_init(catch_message);
	if (getenv("DM_DISABLE_UDEV")) {
		dm_udev_set_sync_support(0);
		dm_udev_set_checking(0);
	}
}

static struct dm_task *end_new(struct dm_task *task, bool is_good,
			       const char *name)
{
	if (is_good)
		return task;
	if (task)
		dm_task_destroy(task);
	error("%s: cannot talk to device-mapper%s%s", name ? name : "dm",
	      last_message[0] ? ": " : "", last_message);
	return NULL;
}

struct dm_task *task_new_by_name(int type, const char *name)
{
	struct dm_task *task;

	last_message[0] = '\0';
	task = dm_task_create(type);
	return end_new(task, task && dm_task_set_name(task, name), name);
}

struct dm_task *task_new(int type, const char *name)
{
	struct dm_task *task;

	last_message[0] = '\0';
	task = dm_task_create(type);
	return end_new(task, task && (!name || pin_set_device(task, name)), name);
}

int task_run(struct dm_task *task)
{
	int r = 0;

	if (!dm_task_run(task)) {
		r = -dm_task_get_errno(task);
		if (!r)
			r = -EIO;
	}
	return r;
}

int task_get_info(struct dm_task *task, struct dm_device *device)
{
	struct dm_info info;
	const char *uuid;

	if (!dm_task_get_info(task, &info))
		return -EIO;
	if (!info.exists)
		return -ENXIO;
	if (!device)
		return 0;
	uuid = dm_task_get_uuid(task);
	snprintf(device->uuid, sizeof(device->uuid), "%s", uuid ? uuid : "");
	device->major = info.major;
	device->minor = info.minor;
	device->suspended = info.suspended;
	device->read_only = info.read_only;
	device->has_table = info.live_table;
	device->has_inactive_table = info.inactive_table;
	device->open_count = info.open_count;
	device->event_nr = info.event_nr;
	return 0;
}

int dm_get_device(const char *name, struct dm_device *device)
{
	struct dm_task *task = task_new(DM_DEVICE_INFO, name);
	int r;

	if (!task)
		return -ENOMEM;
	r = task_run(task);
	if (!r)
		r = task_get_info(task, device);
	dm_task_destroy(task);
	return r;
}

bool task_take_name(struct dm_task *task, char name[DM_NAME_BYTES])
{
	struct dm_info info;
	char *found = NULL;

	if (!task_run(task) && dm_task_get_info(task, &info) && info.exists)
		found = dm_task_get_name_unmangled(task);
	if (found)
		snprintf(name, DM_NAME_BYTES, "%s", found);
	dm_task_destroy(task);
	dm_free(found);
	return found;
}

const char *dm_name_now(const char *name)
{
	static char names[4][DM_NAME_BYTES];
	static unsigned int last;
	struct dm_task *task;

	if (!pin_find(name))
		return name;
	last = (last + 1) % 4;
	task = task_new(DM_DEVICE_INFO, name);
	return task && task_take_name(task, names[last]) ? names[last] : name;
}

void task_say_failed(int r, const char *name, const char *what)
{
	char message[sizeof(last_message)];

	if (!r)
		return;
	/* Asking for the name is another task, which resets last_message. */
	snprintf(message, sizeof(message), "%s", last_message);
	error_errno(r, "%s: cannot %s%s%s%s", dm_name_now(name), what,
		    message[0] ? " (" : "", message, message[0] ? ")" : "");
}
