// SPDX-License-Identifier: GPL-2.0-only
/* Volumes that are attached again by themselves, see attach-event.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/in-place.h"
#include "attach/persist.h"
#include "base/exit.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "block/lvm.h"
#include "block/require.h"
#include "cmd/attach-event.h"
#include "cmd/event-fence.h"
#include "cmd/event-log.h"
#include "cmd/event-store.h"
#include "restore/runtime.h"

/* What the event is about, and what came of it. */
struct event {
	char uuid[PERSIST_UUID_BYTES];
	dev_t devt;			/* 0: not known */
	bool was_missed;		/* and then nothing is said about it again */
	bool is_synthetic;		/* no table was changed */
	int status;
};

/* Of the device whose event this process is, if a program waits for that. */
static char awaited_uuid[PERSIST_UUID_BYTES];

/* Half a second for another handler: events often come in pairs. */
#define LOCK_POLL_NS 50000000
#define LOCK_TRIES 10
#define META_LIMIT_NS NS_PER_SECOND
#define LVM_LIMIT_MS 1000

/* "LVM-" and the UUID of a volume group: how the UUIDs of its volumes start. */
#define LVM_GROUP_LENGTH (4 + 32)

/* What libdevmapper waits for: a number in the lower half, flags for the rules above it. */
#define COOKIE_NUMBER 0xffffu

/* Locks of what is attached; -1: none. */
struct locks {
	int volume, meta, runtime;
};

static void unlock(const struct volume *volume, struct locks *locks)
{
	if (locks->runtime >= 0)
		runtime_unlock(volume->name, locks->runtime);
	if (locks->meta >= 0)
		close(locks->meta);
	if (locks->volume >= 0)
		close(locks->volume);
	locks->volume = -1;
}

static bool try_lock(const struct volume *volume, const struct blockdev *meta,
		     struct locks *locks)
{
	*locks = (struct locks) { -1, -1, -1 };
	locks->volume = blockdev_try_lock(&volume->device);
	if (locks->volume < 0)
		return false;
	locks->meta = blockdev_try_lock(meta);
	/* A backup or a restore; its message would name us. */
	event_log_hush(true);
	if (locks->meta >= 0)
		locks->runtime = runtime_lock(volume->name);
	event_log_hush(false);
	if (locks->runtime >= 0)
		return true;
	unlock(volume, locks);
	return false;
}

static bool poll_lock(const struct volume *volume, const struct blockdev *meta,
		      int tries, struct locks *locks)
{
	const struct timespec pause = { .tv_nsec = LOCK_POLL_NS };

	while (!try_lock(volume, meta, locks) && --tries > 0)
		nanosleep(&pause, NULL);
	return locks->volume >= 0;
}

static enum persist_mark missed_mark(const struct event *event)
{
	return event->is_synthetic ? PERSIST_MISSED_SYNTHETIC : PERSIST_MISSED;
}

/* False: the process that has it handles the event when it ends. */
static bool lock(const struct volume *volume, const struct blockdev *meta,
		 const struct event *event, struct locks *locks)
{
	if (poll_lock(volume, meta, event->was_missed ? 1 : LOCK_TRIES, locks))
		return true;
	persist_set_mark(volume, missed_mark(event));
	/* It may have ended before it could see that. */
	if (!try_lock(volume, meta, locks))
		return false;
	persist_clear_mark(volume, missed_mark(event));
	return true;
}

static int find_by_uuid(const char *uuid, char *path, size_t path_bytes)
{
	char name[DM_NAME_BYTES];
	struct dm_device device;

	if (!dm_name_of_uuid(uuid, name) || dm_get_device(name, &device) ||
	    !device.has_table || device.suspended)
		return -1;
	snprintf(path, path_bytes, "/dev/dm-%u", device.minor);
	return path_is_blockdev(path) ? 0 : -1;
}

/* It is not an error that one of the two is not there yet, or is suspended. */
static bool find_meta(const struct persist *persist, struct blockdev *meta)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", persist->meta_path);
	if (*persist->meta && find_by_uuid(persist->meta, path, sizeof(path)))
		return false;
	return path_is_blockdev(path) && !blockdev_open(path, meta);
}

static bool find_volume(const struct persist *persist, struct volume *volume)
{
	struct cbw_table cbw;
	char path[PATH_MAX];

	memset(volume, 0, sizeof(*volume));
	return !find_by_uuid(persist->volume, path, sizeof(path)) &&
	       !volume_find(path, volume) && volume->is_mapped &&
	       volume->table.nr_lines && !volume->dm.suspended &&
	       !volume_is_cbw(volume, &cbw) &&
	       in_place_is_over(volume->dm.uuid);
}

static void report(const struct volume *volume, const struct trust *trust)
{
	struct json_object *gap = trust_report(trust);

	/* Then a warning was printed. */
	if (!gap)
		info("%s is attached again, with %s", volume->name,
		     trust->meta);
	json_object_put(gap);
}

/* It would keep open what the volume lay on before. */
static void remove_inner(struct volume *volume)
{
	struct inner inner;
	bool found;

	event_log_hush(true);
	if (!inner_find(volume, &inner) && inner.exists)
		inner_clean(volume, &inner, &found);
	event_log_hush(false);
}

/*
 * The kernel announces a table before it destroys the one before, which has the metadata
 * device open. A device that stays in use is refused later, with the reason.
 */
static void wait_for_meta(const struct blockdev *meta)
{
	const struct timespec pause = { .tv_nsec = LOCK_POLL_NS };
	const uint64_t end_ns = monotonic_ns() + META_LIMIT_NS;

	event_log_hush(true);
	while (blockdev_check_unused(meta) && monotonic_ns() < end_ns)
		nanosleep(&pause, NULL);
	event_log_hush(false);
}

/*
 * To write to the metadata device is an event of that, and so would be a reason to write to it
 * again. A device in use has not been written to, and who closes it causes an event.
 */
static void mark_failed(const struct volume *volume,
			const struct blockdev *meta)
{
	bool is_used;

	event_log_hush(true);
	is_used = blockdev_check_unused(meta);
	event_log_hush(false);
	if (is_used)
		return;
	persist_set_mark(volume, PERSIST_FAILED);
	info("%s is not attached; that is tried again when it or its metadata device gets a table",
	     volume->name);
}

static int insert(struct volume *volume, const struct persist *persist,
		  const struct blockdev *meta)
{
	struct attach_request request = {
		.meta = meta->path,
		.break_tracking = persist->break_tracking,
		.block_bytes = persist->block_bytes,
	};
	struct trust trust = { 0 };
	struct cbw_table cbw;
	struct inner inner;
	int status;

	/* Its size may have changed while locks were waited for. */
	status = volume_refresh(volume);
	/* Another event was faster. */
	if (status || volume_is_cbw(volume, &cbw) || volume->dm.suspended) {
		event_forget_size(volume);
		return status;
	}
	wait_for_meta(meta);
	status = event_store_fit(volume, meta) ?:
		 attach_insert(volume, &request, &trust, &inner);
	if (!status) {
		persist_clear_mark(volume, PERSIST_MISSED);
		persist_clear_mark(volume, PERSIST_MISSED_SYNTHETIC);
		persist_clear_mark(volume, PERSIST_FAILED);
		persist_clear_mark(volume, PERSIST_CHANGED);
		report(volume, &trust);
	} else {
		remove_inner(volume);
		mark_failed(volume, meta);
	}
	return status;
}

/* Does libdevmapper wait for what this process is a part of? */
static bool is_awaited(void)
{
	const char *cookie = getenv("DM_COOKIE");

	return cookie && strtoul(cookie, NULL, 10) & COOKIE_NUMBER;
}

/*
 * A command waits for its own events: one of another group is not for the lock's holder. What
 * others have missed meanwhile is handled here, too, if it is about the same volume: then the
 * command has finished with that one.
 */
static bool is_holder_waiting(const struct volume *volume,
			      const struct blockdev *meta,
			      const struct event *event)
{
	char uuid[PERSIST_UUID_BYTES];

	if (strncmp(awaited_uuid, "LVM-", 4) ||
	    strlen(awaited_uuid) < LVM_GROUP_LENGTH ||
	    strncmp(awaited_uuid, volume->dm.uuid, LVM_GROUP_LENGTH))
		return false;
	return !event->was_missed || !strcmp(awaited_uuid, volume->dm.uuid) ||
	       (meta && blockdev_read_attribute(meta->devt, "dm/uuid", uuid,
						sizeof(uuid)) &&
		!strcmp(awaited_uuid, uuid));
}

/*
 * @meta: its metadata device, or NULL.
 * False: a command of lvm2 is at work on the group, and may load another table meanwhile.
 * If that command waits for this process, this goes on without the lock.
 */
static bool lock_lvm(struct volume *volume, const struct blockdev *meta,
		     const struct event *event, struct lvm_locks *locks)
{
	const bool is_waiting = is_holder_waiting(volume, meta, event);
	int r;

	/* Also with a missed event: a command of lvm2 may wait for this process. */
	lvm_wait_at_most(is_waiting || (event->was_missed && is_awaited()) ?
			 0 : LVM_LIMIT_MS);
	event_log_hush(true);
	r = lvm_lock(&volume->device.devt, 1, true, locks);
	event_log_hush(false);
	volume->is_locked = true;
	return r != -EBUSY || is_waiting;
}

/* It has failed, and nothing has changed since. */
static bool is_in_vain(const struct volume *volume, const struct event *event)
{
	return event->is_synthetic && persist_has_mark(volume, PERSIST_FAILED);
}

/* Nothing is said if another event was faster. */
static void give_up(struct volume *volume, const struct event *event,
		    const char *why)
{
	struct cbw_table cbw;

	if (event->was_missed || volume_refresh(volume) ||
	    volume_is_cbw(volume, &cbw))
		return;
	info("%s is not attached: %s", volume->name, why);
}

/*
 * A snapshot is merged into the volume, which is attached when that has ended. The store says
 * now that everything changes: the note is lost when the machine is restarted.
 */
static int distrust_store(const struct volume *volume,
			  const struct blockdev *meta)
{
	struct locks locks;
	int status = EXIT_OK;

	wait_for_meta(meta);
	if (event_store_bytes(volume, meta) &&
	    poll_lock(volume, meta, LOCK_TRIES, &locks)) {
		status = event_store_distrust(meta) ? EXIT_ERROR : EXIT_OK;
		unlock(volume, &locks);
	}
	info("%s is not attached while a snapshot is merged into it",
	     volume->name);
	return status;
}

/*
 * It stays detached, but its store keeps pace: extents that it gives away and others that
 * it gets later would make the same size.
 */
static int follow_detached(struct volume *volume, const struct blockdev *meta)
{
	struct locks locks;
	int status = EXIT_REFUSED;
	uint64_t bytes = event_store_bytes(volume, meta);

	if (bytes == volume->device.bytes)
		event_forget_size(volume);
	if (!bytes || bytes == volume->device.bytes)
		return EXIT_OK;
	if (poll_lock(volume, meta, LOCK_TRIES, &locks)) {
		status = volume_refresh(volume) ?: event_store_fit(volume, meta);
		if (status)
			persist_set_mark(volume, PERSIST_FAILED);
		unlock(volume, &locks);
	}
	return status;
}

/*
 * lvm2's lock comes first: who waits for it must not keep the handler from working that lvm2
 * waits for.
 */
static int lock_and_insert(struct volume *volume, const struct persist *persist,
			   const struct blockdev *meta,
			   const struct event *event)
{
	struct lvm_locks lvm_locks;
	struct blockdev renamed;
	struct locks locks;
	int status = EXIT_OK;

	if (!lock_lvm(volume, meta, event, &lvm_locks)) {
		persist_set_mark(volume, missed_mark(event));
		give_up(volume, event,
			"a command of lvm2 is at work on its group; the next event or command of dmlive attaches it");
	} else if (!lock(volume, meta, event, &locks)) {
		give_up(volume, event,
			"another process of dmlive is at work on it or its metadata device, and attaches it when it ends");
	} else {
		/* Perhaps that has failed while the lock was waited for. */
		if (!is_in_vain(volume, event))
			status = insert(volume, persist, meta);
		/* A command that renames the group goes on meanwhile. */
		if (status && access(meta->path, F_OK) &&
		    find_meta(persist, &renamed))
			status = insert(volume, persist, &renamed);
		unlock(volume, &locks);
	}
	lvm_unlock(&lvm_locks);
	return status;
}

/* Its blocks are written below the volume, where nothing counts them. */
static bool is_merged_into(const struct volume *volume)
{
	return !strcmp(volume->table.lines[0].target, "snapshot-merge");
}

static int handle_volume(struct volume *volume, const struct persist *persist,
			 const struct event *event)
{
	const bool is_detached = persist_has_mark(volume, PERSIST_DETACHED);
	struct blockdev meta;
	int status = EXIT_OK;

	/* Noted first, as this process may be killed. It is forgotten when all went well. */
	persist_note_changed(volume, is_merged_into(volume) ? 0 :
			     volume->device.bytes);
	if (is_in_vain(volume, event) ||
	    (event->is_synthetic && is_merged_into(volume)))
		return EXIT_OK;
	if (!find_meta(persist, &meta)) {
		if (!is_detached)
			info("%s is not attached: its metadata device %s is not active",
			     volume->name, *persist->meta ? persist->meta :
			     persist->meta_path);
	} else if (is_merged_into(volume)) {
		status = distrust_store(volume, &meta);
	} else if (is_detached) {
		status = follow_detached(volume, &meta);
	} else {
		status = lock_and_insert(volume, persist, &meta, event);
	}
	return status;
}

/* It was to be detached; who tried that was killed before it was. */
static void drop_detached(struct volume *volume)
{
	struct cbw_table cbw;
	int lock_fd;

	if (!volume->is_mapped || !volume_is_cbw(volume, &cbw) ||
	    !persist_has_mark(volume, PERSIST_DETACHED))
		return;
	/* Who has it may be about to detach it. */
	lock_fd = blockdev_try_lock(&volume->device);
	if (lock_fd < 0)
		return;
	if (!volume_refresh(volume) && volume_is_cbw(volume, &cbw))
		persist_clear_mark(volume, PERSIST_DETACHED);
	close(lock_fd);
}

static int attach_again(const struct persist *persist,
			const struct event *event)
{
	struct volume volume;
	int status = EXIT_OK;

	if (find_volume(persist, &volume))
		status = handle_volume(&volume, persist, event);
	else
		drop_detached(&volume);
	volume_free(&volume);
	return status;
}

static bool is_about(const struct event *event, const struct persist *persist)
{
	struct stat st;

	/* Nobody can know which volume it is about. */
	if (!*persist->volume && *persist->problem)
		return true;
	if (*event->uuid && (!strcmp(persist->volume, event->uuid) ||
			     !strcmp(persist->meta, event->uuid)))
		return true;
	return event->devt && *persist->meta_path &&
	       !stat(persist->meta_path, &st) && S_ISBLK(st.st_mode) &&
	       st.st_rdev == event->devt;
}

static int handle(const struct persist *persist, void *argument)
{
	struct event *event = argument;
	struct persist first;
	int status;

	if (!is_about(event, persist))
		return 0;
	if (*persist->problem) {
		error("%s", persist->problem);
		status = EXIT_ERROR;
	} else if (persist_find(persist->volume, &first) &&
		   strcmp(first.path, persist->path)) {
		error("%s: is ignored, as %s is about the same volume",
		      persist->path, first.path);
		status = EXIT_ERROR;
	} else {
		status = attach_again(persist, event);
	}
	if (status)
		event->status = status;
	return 0;
}

/* See event-fence.h. */
static void fence(struct event *event)
{
	struct lvm_locks lvm_locks = { 0 };
	struct volume volume;
	int fd = -1;
	bool found = event_fence_find(event->uuid, &volume);
	bool locked = found && lock_lvm(&volume, NULL, event, &lvm_locks);

	if (found)
		fd = blockdev_poll_lock(&volume.device,
					event->was_missed ? 1 : LOCK_TRIES);
	/* Without lvm2's lock too: it must not stay as it is. */
	if (fd >= 0)
		event->status = event_fence(&volume, lvm_locks.nr, locked);
	/* The next command of dmlive tries again. */
	if (found && (fd < 0 || event->status))
		persist_set_mark(&volume, PERSIST_MISSED);
	if (fd >= 0)
		close(fd);
	lvm_unlock(&lvm_locks);
	volume_free(&volume);
}

static int handle_event(struct event *event)
{
	event_log_use(true);
	dm_serve_event();
	blockdev_wait_briefly();
	fence(event);
	persist_for_each(handle, event);
	event_log_use(false);
	return event->status;
}

static void handle_missed(const char *uuid, bool is_synthetic)
{
	struct event event = {
		.was_missed = true,
		.is_synthetic = is_synthetic,
	};

	snprintf(event.uuid, sizeof(event.uuid), "%s", uuid);
	handle_event(&event);
}

void attach_missed(void)
{
	persist_take_missed(handle_missed);
}

void attach_missed_first(void)
{
	pid_t pid;

	if (!persist_is_any_missed())
		return;
	pid = fork();
	if (!pid) {
		attach_missed();
		_exit(EXIT_OK);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static bool parse_device(const char *text, dev_t *devt)
{
	unsigned int major, minor;
	struct stat st;

	if (sscanf(text, "%u:%u", &major, &minor) == 2)
		*devt = makedev(major, minor);
	else if (!stat(text, &st) && S_ISBLK(st.st_mode))
		*devt = st.st_rdev;
	else
		return false;
	return true;
}

int attach_event(const char *device)
{
	struct event event = {
		/* By udev, when a program has closed a device, or by hand. */
		.is_synthetic = getenv("SYNTH_UUID"),
	};
	int status;

	if (!parse_device(device, &event.devt)) {
		error("--event %s: is neither MAJOR:MINOR nor a block device",
		      device);
		return EXIT_USAGE;
	}
	if (blockdev_read_attribute(event.devt, "dm/uuid", event.uuid,
				    sizeof(event.uuid)) &&
	    dm_uuid_is_inner(event.uuid))
		return EXIT_OK;
	/* Many machines have none. */
	if (access(PERSIST_FOLDER, F_OK) && access(IN_PLACE_FOLDER, F_OK))
		return EXIT_OK;
	if (is_awaited())
		snprintf(awaited_uuid, sizeof(awaited_uuid), "%s", event.uuid);
	status = require("attach", REQUIRE_DM);
	return status ? status : handle_event(&event);
}
