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
#include "qcow2/content.h"
#include "restore/metadata.h"
#include "restore/own-device.h"

/* For udev's handler, which holds the lock for a moment. */
#define LOCK_POLL_NS 50000000
#define LOCK_TRIES 200

static int lock_volume(const struct volume *volume)
{
	int fd = blockdev_poll_lock(&volume->device, LOCK_TRIES);

	return fd < 0 ? blockdev_lock(&volume->device) : fd;
}

/* A killed process may have loaded the volume's own table. */
static int clear_loaded(const struct volume *volume, const struct inner *inner)
{
	struct dm_table own, loaded;
	bool ours = !in_place_is_loaded_by_other(volume);

	if (!volume->dm.has_inactive_table)
		return EXIT_OK;
	if (!ours && inner->exists &&
	    !dm_get_table(inner->name, false, &own, NULL)) {
		if (!dm_get_table(volume->name, true, &loaded, NULL)) {
			ours = dm_table_equal(&own, &loaded);
			dm_table_free(&loaded);
		}
		dm_table_free(&own);
	}
	if (ours)
		return dm_clear(volume->name) ? EXIT_ERROR : EXIT_OK;
	return in_place_refuse_loaded(volume);
}

/* Nothing can be trusted to be the volume's own table. */
static bool has_lost_table(const struct volume *volume,
			   const struct inner *inner)
{
	return in_place_is_fenced(volume) &&
	       (!inner->exists || dm_runs_target(inner->name, "error") ||
		in_place_is_inner_of_other(volume, inner));
}

static int refuse_lost(const struct volume *volume)
{
	error("%s: all data are on it, but it fails all I/O, and its own table is not known; let lvm2 load it (lvchange --refresh), and then: dmlive finish %s",
	      volume->name, volume->name);
	return EXIT_REFUSED;
}

/*
 * Whatever table it has: the restore's, one that fails all I/O, or its own. @may_be_lost: if
 * its own is not known, it may be left failing all I/O.
 */
static int give_back(struct volume *volume, bool may_be_lost)
{
	struct lvm_locks locks;
	struct inner inner;
	int status;

	status = lvm_lock(&volume->device.devt, 1, true, &locks) ?
		 EXIT_REFUSED : EXIT_OK;
	if (!status)
		status = volume_refresh(volume);
	if (!status)
		status = inner_find(volume, &inner) ?:
			 clear_loaded(volume, &inner);
	if (!status && !may_be_lost && has_lost_table(volume, &inner))
		status = refuse_lost(volume);
	else if (!status && (in_place_is_live(volume, &inner) ||
			     (in_place_is_fenced(volume) &&
			      !has_lost_table(volume, &inner))))
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
	if (!r && give_back(&volume, false))
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

int own_holds_restore(const char *path, const char *uuid)
{
	struct metadata metadata;
	int r = blockdev_has_qcow2(path);

	if (r <= 0)
		return r;
	r = metadata_open(path, &metadata);
	/* After an I/O error it may still be this one. */
	if (r)
		return r == -EINVAL || r == -EOPNOTSUPP ? 0 : r;
	r = own_is_described(&metadata.description, uuid);
	metadata_close(&metadata);
	return r;
}

/* A damaged record does not. */
static bool names_metadata(const struct in_place *record)
{
	return *record->meta || *record->meta_path;
}

static int refuse_unretired(const struct in_place *record, const char *name,
			    const char *path, int r)
{
	error("%s: the metadata of its restore, on %s, cannot be marked as finished (%s), so the restore could be resumed over newer data; activate that device and try again, or, if it is gone for good, wipe it and remove %s/%s.conf",
	      name, *path ? path : *record->meta ? record->meta :
	      record->meta_path, strerror(-r), IN_PLACE_FOLDER,
	      record->volume);
	return EXIT_REFUSED;
}

/*
 * The metadata would let it be restored again, over newer data. That they cannot be reached
 * now does not mean that they are gone. @may_be_gone: the end of the restore removes
 * a companion volume before the record.
 */
static int retire(const struct in_place *record, const char *name,
		  bool may_be_gone)
{
	char path[PATH_MAX];
	int r = -ENXIO;

	if (!names_metadata(record)) {
		warning("%s: its record does not name the metadata device; if one still holds this restore, wipe it",
			name);
		return EXIT_OK;
	}
	if (*in_place_meta(record, path))
		r = own_holds_restore(path, record->volume);
	else if (may_be_gone)
		r = 0;
	if (r == 1)
		r = metadata_retire(path);
	return r ? refuse_unretired(record, name, path, r) : EXIT_OK;
}

int own_tidy(const char *name, bool *found)
{
	struct in_place record;
	struct dm_device device;
	int status;

	*found = !dm_get_device(name, &device) &&
		 in_place_find(device.uuid, &record) && record.complete &&
		 !dm_runs_target(name, "alloctrack");
	if (!*found)
		return EXIT_OK;
	if (own_finish(name))
		return EXIT_ERROR;
	status = retire(&record, name, true);
	if (!status && in_place_remove(device.uuid))
		status = EXIT_ERROR;
	if (!status)
		info("%s: what was left of its restore is removed", name);
	return status;
}

/* It ends by itself, and finds then that the restore has not completed. */
static int wait_for_server(const struct volume *volume)
{
	const struct timespec pause = { .tv_nsec = LOCK_POLL_NS };
	int tries = 0;

	while (runtime_server(volume->name)) {
		if (++tries == LOCK_TRIES) {
			error("%s: process %d still serves its restore; try again when that has ended",
			      volume->name, runtime_server(volume->name));
			return EXIT_REFUSED;
		}
		nanosleep(&pause, NULL);
	}
	return EXIT_OK;
}

int own_give_up(struct volume *volume)
{
	struct in_place record;
	char path[PATH_MAX];
	int status;

	if (!in_place_find(volume->dm.uuid, &record))
		return EXIT_OK;
	/* Who has it open would get what is not restored. */
	if (blockdev_check_unused(&volume->device))
		return EXIT_REFUSED;
	if (names_metadata(&record) && !*in_place_meta(&record, path))
		return refuse_unretired(&record, volume->name, path, -ENXIO);
	/* The table of the restore has the metadata device open. */
	status = in_place_is_live(volume, NULL) ? in_place_let_fail(volume) :
						  EXIT_OK;
	if (!status)
		status = wait_for_server(volume);
	/* First: else the volume could be in use again while it can still be restored. */
	if (!status)
		status = retire(&record, volume->name, false);
	if (!status)
		status = give_back(volume, true);
	if (status)
		return status;
	runtime_remove(volume->name, -1);
	if (in_place_remove(volume->dm.uuid))
		return EXIT_ERROR;
	if (in_place_is_fenced(volume))
		warning("%s has no table of its own; let lvm2 load it again: lvchange --refresh",
			volume->name);
	return EXIT_OK;
}
