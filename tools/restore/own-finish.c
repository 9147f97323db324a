// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a restore in place, see own-device.h:
 *
 *  1. the record says that all data are on the volume: it may have its own table
 *  2. that is loaded; 3. and made the live one; 4. the inner device is removed
 *  5. the metadata are retired, by the caller
 *  6. the record is removed
 *
 * own_tidy() goes on after a process that was killed after 3.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attach/in-place.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/lvm.h"
#include "restore/metadata.h"
#include "restore/own-device.h"

/* For udev's handler, which holds the lock for a moment. */
#define LOCK_POLL_NS 50000000
#define LOCK_TRIES 200

static const struct timespec lock_pause = { .tv_nsec = LOCK_POLL_NS };

static int lock_volume(const struct volume *volume)
{
	int fd, tries = 0;

	do {
		fd = blockdev_try_lock(&volume->device);
		if (fd != -EBUSY)
			return fd;
		nanosleep(&lock_pause, NULL);
	} while (++tries < LOCK_TRIES);
	return blockdev_lock(&volume->device);
}

/* Whatever table it has: the restore's, one that fails all I/O, or its own. */
static int give_back(struct volume *volume)
{
	struct lvm_locks locks;
	struct inner inner;
	int status;

	status = lvm_lock(&volume->device.devt, 1, true, &locks) ?
		 EXIT_REFUSED : EXIT_OK;
	if (!status)
		status = volume_refresh(volume);
	/* A killed process may have loaded it. */
	if (!status && volume->dm.has_inactive_table && dm_clear(volume->name))
		status = EXIT_ERROR;
	if (!status)
		status = inner_find(volume, &inner);
	if (!status && (in_place_is_live(volume, &inner) ||
			(in_place_is_fenced(volume) && inner.exists)))
		status = in_place_give_back(volume, &inner);
	else if (!status && inner.exists && dm_remove(inner.name))
		status = EXIT_ERROR;
	lvm_unlock(&locks);
	return status;
}

bool own_is_live(const char *name)
{
	struct volume volume = { .is_mapped = true };
	bool found = !dm_get_table(name, false, &volume.table, &volume.dm) &&
		     in_place_is_live(&volume, NULL);

	volume_free(&volume);
	return found;
}

int own_finish(const char *name)
{
	struct volume volume;
	int fd = -1;
	int r = volume_find(dm_node_path(name), &volume) ? -EINVAL : 0;

	if (!r) {
		fd = lock_volume(&volume);
		r = fd < 0 ? fd : in_place_complete(volume.dm.uuid);
	}
	if (!r && give_back(&volume))
		r = -EIO;
	if (fd >= 0)
		close(fd);
	volume_free(&volume);
	return r;
}

void own_forget(const char *name)
{
	struct dm_device device;

	if (!dm_get_device(name, &device))
		in_place_remove(device.uuid);
}

static void retire(const struct in_place *record)
{
	char path[PATH_MAX];

	if (*in_place_meta(record, path))
		metadata_retire(path);
}

bool own_tidy(const char *name)
{
	struct in_place record;
	struct dm_device device;

	if (dm_get_device(name, &device) ||
	    !in_place_find(device.uuid, &record) || !record.complete ||
	    dm_runs_target(name, "alloctrack"))
		return false;
	if (own_finish(name))
		return true;
	retire(&record);
	in_place_remove(device.uuid);
	info("%s: what was left of its restore is removed", name);
	return true;
}

/* It ends by itself, and finds then that the restore has not completed. */
static int wait_for_server(const struct volume *volume)
{
	int tries = 0;

	while (runtime_server(volume->name)) {
		if (++tries == LOCK_TRIES) {
			error("%s: process %d still serves its restore; try again when that has ended",
			      volume->name, runtime_server(volume->name));
			return EXIT_REFUSED;
		}
		nanosleep(&lock_pause, NULL);
	}
	return EXIT_OK;
}

int own_give_up(struct volume *volume)
{
	struct in_place record;
	int status;

	if (!in_place_find(volume->dm.uuid, &record))
		return EXIT_OK;
	/* Who has it open would get what is not restored. */
	if (blockdev_check_unused(&volume->device))
		return EXIT_REFUSED;
	status = give_back(volume);
	if (!status)
		status = wait_for_server(volume);
	if (status)
		return status;
	retire(&record);
	runtime_remove(volume->name, -1);
	if (in_place_remove(volume->dm.uuid))
		return EXIT_ERROR;
	if (in_place_is_fenced(volume))
		warning("%s has no table of its own; let lvm2 load it again: lvchange --refresh",
			volume->name);
	return EXIT_OK;
}
