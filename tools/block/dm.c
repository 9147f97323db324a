// SPDX-License-Identifier: GPL-2.0-only
/* Mapped devices, over libdevmapper. */
#include <errno.h>
#include <libdevmapper.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "block/dm.h"
#include "block/dm-task.h"
#include "block/dm-uuid.h"
#include "base/log.h"
#include "base/process.h"

#define RESUME_TRIES 3

/* If the device is renamed meanwhile. */
#define REMOVE_TRIES 3

/* udev itself ends what takes longer than three minutes. */
#define UDEV_TIMEOUT_NS (200 * NS_PER_SECOND)
#define UDEV_POLL_NS 2000000

static bool nodes_are_made;

void dm_serve_event(void)
{
	/* Flags for udev's rules are passed all the same. */
	dm_udev_set_sync_support(0);
	nodes_are_made = !getenv("DM_DISABLE_UDEV");
}

void dm_release(void)
{
	dm_lib_release();
}

bool dm_name_is_valid(const char *name)
{
	if (!*name || strlen(name) >= DM_NAME_BYTES || strchr(name, '/') ||
	    !strcmp(name, ".") || !strcmp(name, "..") ||
	    !strcmp(name, "control")) {
		error("'%s' cannot be the name of a mapped device: it must have 1 to %d characters and no slash",
		      name, DM_NAME_BYTES - 1);
		return false;
	}
	return true;
}

bool dm_split_lv_name(const char *dm_name, char *group, size_t group_bytes,
		      char *volume, size_t volume_bytes)
{
	char *vg, *lv, *layer;
	struct dm_pool *pool = dm_pool_create("names", 1024);
	bool found;

	if (!pool)
		return false;
	found = dm_split_lvm_name(pool, dm_name, &vg, &lv, &layer) && *vg &&
		*lv && !*layer && strlen(vg) < group_bytes &&
		strlen(lv) < volume_bytes;
	if (found) {
		snprintf(group, group_bytes, "%s", vg);
		snprintf(volume, volume_bytes, "%s", lv);
	}
	dm_pool_destroy(pool);
	return found;
}

/* For a device that only we use: rules neither probe nor announce it. */
#define PRIVATE_FLAGS (DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG | \
		       DM_UDEV_DISABLE_DISK_RULES_FLAG |	\
		       DM_UDEV_DISABLE_OTHER_RULES_FLAG)

/*
 * The flags for the event of a device of this name, which is resumed: a restored device that
 * is private is not probed, but announced, as systemd may wait for it.
 */
static uint16_t with_flags_of(const char *name, uint16_t flags)
{
	struct dm_device device;

	if (!dm_get_device(name, &device) && dm_uuid_is_private(device.uuid))
		flags |= DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG |
			 DM_UDEV_DISABLE_DISK_RULES_FLAG;
	return flags;
}

/*
 * For 93-dmlive.rules: attaching the volume has just failed, and the event of its resume
 * must not be a reason to try that again. Free for subsystems; lvm2 does not use it.
 */
#define UNDONE_FLAG DM_SUBSYSTEM_UDEV_FLAG7

void dm_wait_for_udev(uint32_t cookie)
{
	const struct timespec pause = { .tv_nsec = UDEV_POLL_NS };
	uint64_t end_ns = monotonic_ns() + UDEV_TIMEOUT_NS;
	int ready = 0;

	/* udev's rules may wait for a device that cannot be resumed. */
	while (cookie && dm_udev_wait_immediate(cookie, &ready) && !ready) {
		if (process_is_interrupted() || monotonic_ns() > end_ns) {
			warning("udev has not come to an end with what was changed; its rules may be waiting for a device that is suspended");
			return;
		}
		nanosleep(&pause, NULL);
	}
	/* Without udev, nodes are made now. */
	dm_udev_wait(0);
}

/* All tasks with the cookie are waited for together. Resume even without a cookie. */
static int run_with_cookie(struct dm_task *task, uint16_t flags,
			   uint32_t *cookie)
{
	if (!dm_task_set_cookie(task, cookie, flags))
		*cookie = 0;
	return task_run(task);
}

/*
 * Run a task that changes nodes, and wait until udev has handled them. @flags tell
 * its rules what not to do.
 */
static int task_run_with_udev(struct dm_task *task, uint16_t flags)
{
	uint32_t cookie = 0;
	int r;

	if (!dm_task_set_cookie(task, &cookie, flags))
		return -EIO;
	r = task_run(task);
	dm_wait_for_udev(cookie);
	return r;
}

/* A task that changes something has ended: say what failed; free it. */
static int task_end(struct dm_task *task, const char *name, const char *what,
		    int r)
{
	task_say_failed(r, name, what);
	dm_task_destroy(task);
	return r;
}

static int task_finish(struct dm_task *task, const char *name, const char *what,
		       bool with_udev)
{
	return task_end(task, name, what, with_udev ?
			task_run_with_udev(task, 0) : task_run(task));
}

const char *dm_node_path(const char *name)
{
	static char path[4096];
	struct dm_task *task = task_new(DM_DEVICE_INFO, name);
	char *mangled = NULL;

	/* libdevmapper knows names only of tasks that were run. */
	if (task && !task_run(task))
		mangled = dm_task_get_name_mangled(task);

	snprintf(path, sizeof(path), "%s/%s", dm_dir(),
		 mangled ? mangled : name);
	dm_free(mangled);
	if (task)
		dm_task_destroy(task);
	return path;
}

int dm_pin(const char *name)
{
	struct dm_device device;

	if (pin_find(name))
		return 0;
	return dm_get_device(name, &device) ?: pin_add(name, &device);
}

bool dm_is_suspended(const char *name)
{
	struct dm_device device;

	return !dm_get_device(name, &device) && device.suspended;
}

int dm_create_empty(const char *name, const char *uuid)
{
	struct dm_task *task;

	/* From now on it means this one. */
	pin_drop(name);
	task = task_new_by_name(DM_DEVICE_CREATE, name);

	if (!task)
		return -ENOMEM;
	if (!dm_task_set_uuid(task, uuid) ||
	    !dm_task_set_add_node(task, DM_ADD_NODE_ON_RESUME)) {
		dm_task_destroy(task);
		return -EINVAL;
	}
	/* Its event has no cookie: waiting for one would never end. */
	return task_finish(task, name, "create the mapped device", false);
}

bool dm_has_target(const char *target)
{
	struct dm_task *task = task_new_by_name(DM_DEVICE_GET_TARGET_VERSION, target);
	bool has;

	if (!task)
		return false;
	has = !task_run(task);
	dm_task_destroy(task);
	return has;
}

bool dm_name_of(unsigned int major, unsigned int minor,
		char name[DM_NAME_BYTES])
{
	struct dm_task *task = task_new(DM_DEVICE_INFO, NULL);

	if (!task)
		return false;
	dm_task_set_major(task, major);
	dm_task_set_minor(task, minor);
	return task_take_name(task, name);
}

bool dm_name_of_uuid(const char *uuid, char name[DM_NAME_BYTES])
{
	struct dm_task *task = task_new(DM_DEVICE_INFO, NULL);

	if (!task)
		return false;
	dm_task_set_uuid(task, uuid);
	return task_take_name(task, name);
}

static int run_simple(int type, const char *name, const char *what)
{
	struct dm_task *task = task_new(type, name);

	return task ? task_finish(task, name, what, false) : -ENOMEM;
}

int dm_clear(const char *name)
{
	return run_simple(DM_DEVICE_CLEAR, name, "drop the inactive table");
}

static int suspend(const char *name, bool lockfs)
{
	struct dm_task *task = task_new(DM_DEVICE_SUSPEND, name);

	if (!task)
		return -ENOMEM;
	if (!lockfs && !dm_task_skip_lockfs(task)) {
		dm_task_destroy(task);
		return -EINVAL;
	}
	return task_finish(task, name, "suspend", false);
}

int dm_suspend(const char *name)
{
	return suspend(name, true);
}

int dm_suspend_frozen(const char *name)
{
	return suspend(name, false);
}

int dm_hold(const char *name)
{
	struct dm_task *task = task_new(DM_DEVICE_SUSPEND, name);

	if (!task)
		return -ENOMEM;
	if (!dm_task_no_flush(task) || !dm_task_skip_lockfs(task)) {
		dm_task_destroy(task);
		return -EINVAL;
	}
	return task_finish(task, name, "suspend", false);
}

static struct dm_task *new_resume(const char *name)
{
	struct dm_task *task = task_new(DM_DEVICE_RESUME, name);

	/* A pinned device has its node already; it is not resumed when it is made. */
	if (!task || pin_find(name) ||
	    dm_task_set_add_node(task, nodes_are_made ? DM_ADD_NODE_ON_CREATE :
						       DM_ADD_NODE_ON_RESUME))
		return task;
	dm_task_destroy(task);
	return NULL;
}

static int resume(const char *name, uint16_t flags)
{
	struct dm_task *task = new_resume(name);

	if (!task)
		return -ENOMEM;
	return task_end(task, name, "resume",
			task_run_with_udev(task, with_flags_of(name, flags)));
}

int dm_resume(const char *name)
{
	return resume(name, 0);
}

int dm_resume_or_retry(const char *name)
{
	int r, tries;

	for (tries = 0; tries < RESUME_TRIES; tries++) {
		r = dm_resume(name);
		if (!r)
			break;
	}
	return r;
}

int dm_resume_private(const char *name)
{
	return resume(name, PRIVATE_FLAGS);
}

static int resume_in_group(const char *name, uint16_t flags,
			   uint32_t *cookie)
{
	struct dm_task *task = new_resume(name);

	if (!task)
		return -ENOMEM;
	return task_end(task, name, "resume",
			run_with_cookie(task, with_flags_of(name, flags),
					cookie));
}

int dm_resume_undone(const char *name, uint32_t *cookie)
{
	return resume_in_group(name, UNDONE_FLAG, cookie);
}

int dm_resume_group(const char *const *names, unsigned int nr_names,
		    uint32_t *cookie)
{
	unsigned int i;
	int r = 0, r2;

	for (i = 0; i < nr_names; i++) {
		r2 = resume_in_group(names[i], 0, cookie);
		if (!r)
			r = r2;
	}
	return r;
}

int dm_replace(const char *name, bool frozen, uint32_t *cookie)
{
	struct dm_task *task = new_resume(name);

	if (!task)
		return -ENOMEM;
	if (frozen && !dm_task_skip_lockfs(task)) {
		dm_task_destroy(task);
		return -EINVAL;
	}
	return task_end(task, name, "suspend and resume",
			run_with_cookie(task, with_flags_of(name, 0), cookie));
}

/* The resume of a device that is not suspended suspends it to swap its tables. */
int dm_swap(const char *name)
{
	struct dm_task *task = new_resume(name);

	if (!task)
		return -ENOMEM;
	if (!dm_task_no_flush(task) || !dm_task_skip_lockfs(task)) {
		dm_task_destroy(task);
		return -EINVAL;
	}
	return task_end(task, name, "swap its table",
			task_run_with_udev(task, with_flags_of(name, 0)));
}

int dm_swap_private(const char *name, uint32_t *cookie)
{
	struct dm_task *task = new_resume(name);

	if (!task)
		return -ENOMEM;
	if (!dm_task_no_flush(task) || !dm_task_skip_lockfs(task)) {
		dm_task_destroy(task);
		return -EINVAL;
	}
	if (!dm_task_set_cookie(task, cookie, PRIVATE_FLAGS))
		*cookie = 0;
	return task_end(task, name, "swap its table", task_run(task));
}

/*
 * Without udev: the node of a device that the kernel has removed is left, and that of a
 * device that is to be removed later is gone already.
 */
static void correct_node(const char *name)
{
	struct dm_task *task;

	if (dm_udev_get_sync_support())
		return;
	task = task_new_by_name(DM_DEVICE_MKNODES, name);
	if (!task)
		return;
	task_run(task);
	dm_task_destroy(task);
	dm_udev_wait(0);
}

int dm_remove_when_closed(const char *name)
{
	struct dm_task *task = task_new_by_name(DM_DEVICE_REMOVE, dm_name_now(name));
	int r;

	if (!task)
		return -ENOMEM;
	/* The node must stay. With this flag libdevmapper leaves it to udev. */
	r = dm_task_deferred_remove(task) ?
	    task_run_with_udev(task, DM_UDEV_DISABLE_LIBRARY_FALLBACK) : -EINVAL;
	r = task_end(task, name, "have the mapped device removed when it is closed", r);
	correct_node(dm_name_now(name));
	return r;
}

int dm_remove(const char *name)
{
	struct dm_task *task;
	int r, tries = 0;

	/* libdevmapper finds its node, which goes too, only by the current name. */
	do {
		task = task_new_by_name(DM_DEVICE_REMOVE, dm_name_now(name));
		if (!task)
			return -ENOMEM;
		dm_task_retry_remove(task);
		r = task_run_with_udev(task, 0);
		dm_task_destroy(task);
	} while (r == -ENXIO && ++tries < REMOVE_TRIES &&
		 !dm_get_device(name, NULL));
	/* The kernel was faster: see dm_remove_when_closed(). */
	if (r == -ENXIO && dm_get_device(name, NULL) == -ENXIO) {
		correct_node(name);
		r = 0;
	}
	task_say_failed(r, name, "remove the mapped device");
	if (!r)
		pin_drop(name);
	return r;
}

int dm_message(const char *name, const char *text)
{
	struct dm_task *task = task_new(DM_DEVICE_TARGET_MSG, name);
	int r;

	if (!task)
		return -ENOMEM;
	r = dm_task_set_message(task, text) ? task_run(task) : -ENOMEM;
	dm_task_destroy(task);
	return r;
}

int dm_wait_event(const char *name, uint32_t event_nr)
{
	struct dm_task *task = task_new(DM_DEVICE_WAITEVENT, name);
	int r;

	if (!task)
		return -ENOMEM;
	r = dm_task_set_event_nr(task, event_nr) ? task_run(task) : -ENOMEM;
	dm_task_destroy(task);
	return r;
}

/* Call @each with the name as people write it. */
static int call_unmangled(const char *name, int (*each)(const char *, void *),
			  void *argument)
{
	struct dm_task *task = task_new(DM_DEVICE_INFO, name);
	char *unmangled = NULL;
	int r;

	if (task && !task_run(task))
		unmangled = dm_task_get_name_unmangled(task);
	r = each(unmangled ? unmangled : name, argument);
	dm_free(unmangled);
	if (task)
		dm_task_destroy(task);
	return r;
}

int dm_for_each(int (*each)(const char *name, void *argument), void *argument)
{
	struct dm_task *task = task_new(DM_DEVICE_LIST, NULL);
	struct dm_names *names;
	int r;

	if (!task)
		return -ENOMEM;
	r = task_run(task);
	if (r)
		error_errno(r, "cannot list the mapped devices; is the module dm-mod loaded, and are you root?");
	names = r ? NULL : dm_task_get_names(task);
	while (!r && names && names->dev) {
		r = call_unmangled(names->name, each, argument);
		if (!names->next)
			break;
		names = (struct dm_names *)((char *)names + names->next);
	}
	dm_task_destroy(task);
	return r;
}
