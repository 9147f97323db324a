// SPDX-License-Identifier: GPL-2.0-only
/* The record of a backup, and the recovery of a killed one: see recovery.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "backup/fleece-volume.h"
#include "backup/recovery.h"
#include "backup/volume.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "lines/cbw-table.h"
#include "restore/runtime.h"

/* A guard gets half a minute, because udev may be slow. */
#define GUARD_POLL_NS	50000000
#define GUARD_TRIES	600

#define RESUME_TRIES 3

static void add_fleece(struct json_object *object, const struct volume *volume)
{
	char name[2 * LVM_NAME_BYTES];

	if (!volume->fleece_volume.name[0])
		return;
	snprintf(name, sizeof(name), "%s/%s", volume->fleece_volume.group,
		 volume->fleece_volume.name);
	json_add_string(object, "fleece", name);
	json_add_string(object, "fleece_tag", volume->fleece_tag);
}

static int save(const struct volume *volume, enum recovery_scope scope,
		char path[PATH_MAX])
{
	struct json_object *object = json_new_object();
	int r;

	json_add_string(object, "name", volume->name);
	if (scope >= RECOVERY_SESSION) {
		json_add_string(object, "before", volume->before);
		json_add_string(object, "store", volume->old_data_number);
	}
	if (scope >= RECOVERY_OUTPUT) {
		json_add_string(object, "output", volume->output_path);
		json_add_bool(object, "by_job", volume->by_job);
		if (volume->increment.bitmap)
			json_add_number(object, "generation",
					volume->increment.generation);
	}
	add_fleece(object, volume);
	runtime_path(path, volume->name, "backup");
	r = json_save(object, path);
	json_object_put(object);
	return r;
}

int recovery_record(const struct volume *volume, enum recovery_scope scope)
{
	char path[PATH_MAX];
	int r = save(volume, scope, path);

	if (r)
		error_errno(r, "%s cannot be written; without it, what a backup of %s leaves could not be cleaned up if this process was killed",
			    path, dm_name_now(volume->name));
	return r;
}

void recovery_narrow(const struct volume *volume, enum recovery_scope scope)
{
	char path[PATH_MAX];

	save(volume, scope, path);
}

void recovery_forget(const char *name)
{
	char path[PATH_MAX];

	runtime_path(path, name, "backup");
	unlink(path);
}

static int remove_view(const struct dm_device *device)
{
	struct dm_device view;
	char name[32];

	view_name(name, makedev(device->major, device->minor));
	if (dm_get_device(name, &view))
		return 0;
	if (view.open_count) {
		error("the view %s is open in another process; end that process, or wait for it",
		      name);
		return -EBUSY;
	}
	return dm_remove(name);
}

/*
 * What a backup has left of the tables of a device. @before, @old_data: from the
 * record. @live: an enum session_table. @is_loaded: the inactive table has the session.
 */
struct traces {
	const char *before;
	const char *old_data;
	int live;
	bool is_loaded;
};

/* 0 or a negative errno; -ENXIO: there is no such device any more. */
static int find_traces(const char *name, struct traces *traces,
		       struct dm_device *device)
{
	int r = dm_get_device(name, device);

	traces->live = SESSION_TABLE_OTHER;
	traces->is_loaded = false;
	if (r || !traces->before || !traces->old_data)
		return r;
	traces->live = session_find_table(name, false, traces->before,
					  traces->old_data, NULL);
	traces->is_loaded = device->has_inactive_table &&
			    session_find_table(name, true, traces->before,
					       traces->old_data, NULL) ==
			    SESSION_TABLE_DURING;
	return 0;
}

static bool is_ours(const struct traces *traces)
{
	return traces->live == SESSION_TABLE_BEFORE ||
	       traces->live == SESSION_TABLE_DURING || traces->is_loaded;
}

static int end_session(const char *name, const char *before,
		       const struct dm_device *device)
{
	struct dm_line line;
	int r = 0;

	if (dm_get_line(name, DM_LINE_TABLE, &line, NULL))
		return 0;
	if (line.nr_sectors)
		r = session_end_on(name, line.nr_sectors, before,
				   device->read_only);
	dm_line_free(&line);
	return r;
}

static int resume_if_suspended(const char *name, struct traces *traces,
			       const struct dm_device *device)
{
	int r;

	/* The table with the session was never in use. */
	if (traces->is_loaded)
		dm_clear(name);
	r = device->suspended ? dm_resume(name) : 0;
	if (!r || traces->live != SESSION_TABLE_DURING)
		return r;
	/* A device that the session needs may be missing. */
	traces->live = SESSION_TABLE_BEFORE;
	return end_session(name, traces->before, device);
}

/*
 * A device that was replaced, or that somebody else has given another table, is left
 * alone, even if it has a session.
 */
static int undo(const char *name, struct json_object *record)
{
	struct traces traces = {
		.before = json_get_string(record, "before"),
		.old_data = json_get_string(record, "store"),
	};
	struct dm_device device;
	int r = find_traces(name, &traces, &device);

	/* With the device everything else is gone. */
	if (r == -ENXIO)
		return 0;
	if (!r && is_ours(&traces))
		r = resume_if_suspended(name, &traces, &device);
	/* Ends reads that wait for old data, so that the view can be removed. */
	if (!r && traces.live == SESSION_TABLE_DURING)
		dm_message(name, "session cancel");
	if (!r)
		r = remove_view(&device);
	if (!r && traces.live == SESSION_TABLE_DURING)
		r = end_session(name, traces.before, &device);
	return r;
}

/* Remove an incomplete image, unless a process is writing it. */
static void remove_partial(const char *output)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[PATH_MAX + 16];
	int fd;

	snprintf(path, sizeof(path), "%s.partial", output);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return;
	if (!fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type == F_UNLCK)
		unlink(path);
	close(fd);
}

static void report(const char *name, const char *output, uint64_t generation)
{
	name = dm_name_now(name);
	if (output && generation && base_generation_of(output) == generation)
		warning("%s: a backup to %s was interrupted after its output was complete; its session has been ended; the generation of the bitmap (dmlive bitmap list) tells whether increments can be based on it",
			name, output);
	else
		warning("%s: a backup to %s was interrupted; its session has been ended, and the output is not a backup",
			name, output ? output : "an unknown place");
}

/* lvm2 would wait for a suspended device that it reads. */
static void clear_fleece(const char *name, const char *fleece, const char *tag)
{
	if (dm_is_suspended(name))
		warning("%s, which a backup of %s has left, is not removed, as %s is suspended; the next backup with --fleece and this volume group does it",
			fleece, dm_name_now(name), dm_name_now(name));
	else
		fleece_volume_clear(fleece, tag);
}

/* @record: NULL if it cannot be read. */
static void clear_files(const char *name, struct json_object *record)
{
	const char *output = NULL, *fleece = NULL;

	if (record) {
		output = json_get_string(record, "output");
		fleece = json_get_string(record, "fleece");
	}
	if (output)
		remove_partial(output);
	if (fleece)
		clear_fleece(name, fleece,
			     json_get_string(record, "fleece_tag"));
	if (fleece && !output)
		warning("%s: a backup was interrupted, before its session began or after it had ended",
			dm_name_now(name));
	else
		report(name, output, record ?
		       json_get_number(record, "generation") : 0);
}

/* The caller has the lock. */
static int recovery_clear(const char *name)
{
	struct json_object *record;
	struct process_state state;
	char path[PATH_MAX];
	int r;

	runtime_path(path, name, "backup");
	if (access(path, F_OK))
		return 0;
	record = json_object_from_file(path);
	process_become_independent(&state, true);
	r = undo(name, record);
	process_become_ordinary(&state);
	if (r) {
		error("%s: cannot clean up after an interrupted backup; fix the reason above, then try again",
		      dm_name_now(name));
	} else {
		clear_files(name, record);
		recovery_forget(name);
	}
	json_object_put(record);
	return r;
}

/*
 * Find those of @volumes that the backup has suspended, last one first. @end: their
 * sessions cannot be resumed, so load the tables from before.
 */
static unsigned int find_suspended(struct volume *const *volumes,
				   unsigned int nr, bool end,
				   const char *names[BACKUP_MAX_VOLUMES])
{
	unsigned int nr_names = 0, i;
	const struct volume *volume;
	struct dm_device device;
	struct traces traces;

	for (i = nr; i--;) {
		volume = volumes[i];
		traces.before = volume->before;
		traces.old_data = volume->old_data_number;
		if (find_traces(volume->name, &traces, &device) ||
		    !is_ours(&traces))
			continue;
		if (traces.is_loaded)
			dm_clear(volume->name);
		if (!device.suspended)
			continue;
		names[nr_names++] = volume->name;
		if (end && traces.live == SESSION_TABLE_DURING)
			dm_load(volume->name, volume->bytes / SECTOR_BYTES,
				CBW_TARGET, traces.before, device.read_only);
	}
	return nr_names;
}

/* With retries, because all I/O hangs while the devices are suspended. */
static int resume_group(const char *const *names, unsigned int nr,
			uint32_t *cookie)
{
	int r = 0, tries;

	for (tries = 0; nr && tries < RESUME_TRIES; tries++) {
		r = dm_resume_group(names, nr, cookie);
		if (!r)
			break;
	}
	return r;
}

bool recovery_resume(struct volume *const *volumes, unsigned int nr,
		     uint32_t *cookie)
{
	const char *names[BACKUP_MAX_VOLUMES];
	unsigned int nr_names, i;
	struct dm_device device;
	bool all = true;

	nr_names = find_suspended(volumes, nr, false, names);
	if (!resume_group(names, nr_names, cookie))
		return true;
	/* A device that a session needs may be missing. */
	nr_names = find_suspended(volumes, nr, true, names);
	if (!resume_group(names, nr_names, cookie))
		return true;
	for (i = 0; i < nr_names; i++) {
		if (dm_get_device(names[i], &device) || !device.suspended)
			continue;
		session_say_suspended(names[i]);
		all = false;
	}
	return all;
}

/*
 * The process that works on the device, or 0. The guard of a killed process holds its
 * lock until it has cleaned up, so wait for that.
 */
static pid_t find_holder(const char *name)
{
	const struct timespec pause = { .tv_nsec = GUARD_POLL_NS };
	pid_t holder = runtime_server(name);
	int tries;

	for (tries = 0; tries < GUARD_TRIES && holder &&
	     kill(holder, 0) && errno == ESRCH; tries++) {
		nanosleep(&pause, NULL);
		holder = runtime_server(name);
	}
	return holder;
}

/* -EBUSY after a message: a process works on the device. */
static int check_holder(const char *name)
{
	pid_t holder = find_holder(name);

	if (!holder)
		return 0;
	error("%s is being backed up, restored or changed by process %d; wait for it, or end it",
	      dm_name_now(name), holder);
	return -EBUSY;
}

int recovery_lock_and_clear(const char *name)
{
	int fd = check_holder(name);

	if (!fd)
		fd = runtime_lock(name);
	if (fd >= 0 && recovery_clear(name)) {
		runtime_unlock(name, fd);
		fd = -EIO;
	}
	return fd;
}

int recovery_clear_to_detach(const char *name, int *lock_fd)
{
	int r = check_holder(name);

	*lock_fd = -1;
	if (r)
		return r;
	*lock_fd = runtime_lock(name);
	if (*lock_fd == -EBUSY)
		return -EBUSY;
	if (*lock_fd < 0)
		warning("%s: continuing without the lock; other commands can use the device at the same time",
			dm_name_now(name));
	if (!recovery_clear(name))
		return 0;
	if (*lock_fd >= 0)
		runtime_unlock(name, *lock_fd);
	*lock_fd = -1;
	return -EIO;
}
