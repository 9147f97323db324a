// SPDX-License-Identifier: GPL-2.0-only
/* The mapped device of a restore in place, see own-device.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/in-place.h"
#include "attach/persist.h"
#include "attach/swap.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/dm-uuid.h"
#include "restore/metadata.h"
#include "restore/own-device.h"

#define RULE "93-dmlive.rules"

static int check_own_table(const struct volume *volume)
{
	struct cbw_table cbw;

	if (!volume->table.nr_lines || volume->dm.suspended ||
	    volume->dm.has_inactive_table) {
		error("%s has no table, is suspended, or has an inactive table: someone else is changing it",
		      volume->name);
		return EXIT_REFUSED;
	}
	if (in_place_is_fenced(volume)) {
		error("%s has a table that fails all I/O; let lvm2 load its own: lvchange --refresh",
		      volume->name);
		return EXIT_REFUSED;
	}
	if (inner_is(volume) || dm_uuid_is_lv_part(volume->dm.uuid)) {
		error("%s is an inner part of a volume; restore the volume",
		      volume->name);
		return EXIT_REFUSED;
	}
	if (volume_is_cbw(volume, &cbw)) {
		error("%s is attached (cbw), and is not restored in place; detach it first: dmlive detach %s",
		      volume->name, volume->name);
		return EXIT_REFUSED;
	}
	return in_place_check_table(volume);
}

/* What is attached by itself would be so between the tables of the restore. */
static int check_not_persistent(const struct volume *volume)
{
	struct persist persist;

	if (!persist_find(volume->dm.uuid, &persist))
		return EXIT_OK;
	error("%s is attached persistently (%s), and is not restored in place; forget that first: dmlive detach %s --persistent",
	      volume->name, persist.path, volume->name);
	return EXIT_REFUSED;
}

/* Does the rule call the handler for volumes with a record? */
static bool has_rule(const char *folder, bool *exists)
{
	char path[PATH_MAX], line[512];
	bool found = false;
	struct stat st;
	FILE *file;

	snprintf(path, sizeof(path), "%s/" RULE, folder);
	*exists = !lstat(path, &st);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = line[0] != '#' && strstr(line, IN_PLACE_FOLDER);
	if (file)
		fclose(file);
	return found;
}

/* Without it, a volume that is activated would show what is restored so far. */
static int check_handler(const struct server *server)
{
	static const char *const folders[] = {
		"/etc/udev/rules.d", "/run/udev/rules.d",
		"/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d",
		"/lib/udev/rules.d",
	};
	bool found = false, exists = false;
	unsigned int i;

	/* The first one masks the others, even if it is empty. */
	for (i = 0; !exists && i < sizeof(folders) / sizeof(folders[0]); i++)
		found = has_rule(folders[i], &exists);
	if (found && !access("/run/udev/control", F_OK))
		return EXIT_OK;
	if (getenv("DM_DISABLE_UDEV")) {
		warning("--in-place without udev: if %s is activated again before the restore has completed, nothing keeps it from being used half restored",
			server->name);
		return EXIT_OK;
	}
	error("--in-place: udev does not run, or its rule " RULE " is not installed, so %s could be used half restored when it is activated again; install the rule, or use --name NAME",
	      server->name);
	return EXIT_REFUSED;
}

int own_check(struct server *server)
{
	struct volume *volume = &server->own.volume;
	int status = volume_find(server->volume.path, volume);

	if (status)
		return status;
	status = in_place_check_none(volume);
	if (status || !server->in_place)
		return status;
	if (!persist_is_uuid(volume->name, volume->dm.uuid))
		return EXIT_REFUSED;
	status = check_own_table(volume);
	if (!status)
		status = check_not_persistent(volume);
	if (!status)
		status = inner_find(volume, &server->own.inner);
	if (!status)
		status = check_handler(server);
	snprintf(server->options.uuid, sizeof(server->options.uuid), "%s",
		 volume->dm.uuid);
	return status;
}

static int write_record(const struct server *server)
{
	struct in_place record = { 0 };
	char path[PATH_MAX], comment[2 * PATH_MAX];
	struct blockdev meta;

	if (blockdev_open(server->meta.path, &meta))
		return EXIT_ERROR;
	snprintf(record.volume, sizeof(record.volume), "%s",
		 server->options.uuid);
	if (!blockdev_read_attribute(meta.devt, "dm/uuid", record.meta,
				     sizeof(record.meta)))
		snprintf(record.meta_path, sizeof(record.meta_path), "%s",
			 server->meta.path);
	snprintf(comment, sizeof(comment),
		 "%s is being restored in place, see dmlive-restore(8); to continue: dmlive resume %s",
		 blockdev_stable_path(&server->volume, path, sizeof(path)),
		 server->name);
	return in_place_write(&record, comment) ? EXIT_ERROR : EXIT_OK;
}

int own_record(struct server *server)
{
	server->own.recorded = true;
	return write_record(server);
}

int own_find(struct server *server, const char *uuid)
{
	struct volume *volume = &server->own.volume;
	int status = volume_find(dm_node_path(server->name), volume);

	if (status)
		return status;
	if (!uuid || strcmp(volume->dm.uuid, uuid)) {
		error("%s is not the volume that was restored in place: its device-mapper UUID is '%s', not '%s'",
		      server->name, volume->dm.uuid, uuid ? uuid : "");
		return EXIT_REFUSED;
	}
	snprintf(server->options.uuid, sizeof(server->options.uuid), "%s", uuid);
	return EXIT_OK;
}

int own_clear(const char *name)
{
	struct volume loaded = { 0 };
	bool found = !dm_get_table(name, true, &loaded.table, NULL) &&
		     !strcmp(loaded.table.lines[0].target, "alloctrack");

	dm_table_free(&loaded.table);
	return found && dm_clear(name) ? EXIT_ERROR : EXIT_OK;
}

static int lock_lvm(struct server *server)
{
	server->own.is_locked = !lvm_lock(&server->volume.devt, 1, true,
					  &server->own.locks);
	return server->own.is_locked ? EXIT_OK : EXIT_REFUSED;
}

static void unlock_lvm(struct server *server)
{
	lvm_unlock(&server->own.locks);
	memset(&server->own.locks, 0, sizeof(server->own.locks));
	server->own.is_locked = false;
}

static int open_data(struct server *server)
{
	struct dm_device inner;
	char path[32];

	if (dm_get_device(server->own.inner.name, &inner))
		return EXIT_ERROR;
	/* Its other node may not have been made. */
	snprintf(path, sizeof(path), "/dev/dm-%u", inner.minor);
	if (blockdev_open(path, &server->data))
		return EXIT_ERROR;
	if (server->data.bytes >= server->device_bytes)
		return EXIT_OK;
	error("%s is too small: %" PRIu64 " bytes available, %" PRIu64 " required",
	      server->name, server->data.bytes, server->device_bytes);
	return EXIT_REFUSED;
}

bool own_is_described(const struct restore_description *description,
		      const char *uuid)
{
	return description->in_place && description->uuid &&
	       !strcmp(description->uuid, uuid);
}

/* What a damaged record does not say is not compared. */
static bool is_record_of(const struct in_place *record,
			 const struct server *server)
{
	struct blockdev meta, recorded;
	char path[PATH_MAX];

	if (!*record->meta && !*record->meta_path)
		return true;
	return *in_place_meta(record, path) && !blockdev_open(path, &recorded) &&
	       !blockdev_open(server->meta.path, &meta) &&
	       meta.devt == recorded.devt;
}

int own_check_record(struct server *server, bool *is_complete)
{
	struct in_place record;
	int found = in_place_look(server->options.uuid, &record);

	*is_complete = false;
	if (found < 0)
		return in_place_check_none(&server->own.volume);
	if (record.reduced) {
		error("%s was reduced while it was being restored in place, so what its end held is lost, and the metadata do not say so; give that restore up, and begin again: dmlive detach %s --force",
		      server->name, server->name);
		return EXIT_REFUSED;
	}
	if (found && is_record_of(&record, server)) {
		*is_complete = record.complete;
		return EXIT_OK;
	}
	if (server->request->force)
		return EXIT_OK;
	if (found)
		error("%s is being restored in place with the metadata device %s, and not with %s; to continue that restore: dmlive resume %s; to use %s all the same: --force",
		      server->name, *record.meta ? record.meta : record.meta_path,
		      server->meta.path, server->name, server->meta.path);
	else
		error("there is no record (" IN_PLACE_FOLDER "/%s.conf) that %s is being restored in place: that restore was given up or has ended, and %s may hold newer data since; to continue it all the same, over these: --force",
		      server->options.uuid, server->name, server->name);
	return EXIT_REFUSED;
}

static bool is_bare(const struct volume *volume)
{
	return !in_place_is_live(volume, NULL) && !in_place_is_fenced(volume);
}

/* Who uses it since it is bare would lose what they write. */
static int check_bare_unused(const struct volume *volume)
{
	return is_bare(volume) && blockdev_check_unused(&volume->device) ?
	       EXIT_REFUSED : EXIT_OK;
}

static int check_loaded(const struct volume *volume)
{
	return in_place_is_loaded_by_other(volume) ?
	       in_place_refuse_loaded(volume) : EXIT_OK;
}

/*
 * With lvm2's lock. The inner device must have the table that lvm2 has given the volume last:
 * what another one maps may belong to another volume by now.
 */
static int fence_locked(struct server *server)
{
	struct own *own = &server->own;
	int status;

	if (!own->volume.table.nr_lines) {
		error("%s has no table", server->name);
		return EXIT_REFUSED;
	}
	status = in_place_fence(&own->volume, &own->inner, true);
	if (status)
		return status;
	if (in_place_is_fenced(&own->volume) && own->inner.exists &&
	    !dm_runs_target(own->inner.name, "error"))
		return open_data(server);
	error("%s has no table of its own that the restore could use; let lvm2 load it again: lvchange --refresh",
	      server->name);
	return EXIT_REFUSED;
}

int own_fence(struct server *server)
{
	struct own *own = &server->own;
	struct in_place record;
	int status;

	status = volume_refresh(&own->volume) ?: check_bare_unused(&own->volume);
	/* With --force only. */
	if (!status && (!in_place_find(server->options.uuid, &record) ||
			!is_record_of(&record, server)))
		status = write_record(server);
	if (!status)
		status = lock_lvm(server);
	if (!status)
		status = volume_refresh(&own->volume) ?:
			 check_loaded(&own->volume);
	if (!status)
		status = fence_locked(server);
	unlock_lvm(server);
	return status;
}

static int fill_inner(struct server *server)
{
	return in_place_fill_inner(&server->own.volume, &server->own.inner) ?:
	       open_data(server);
}

/* Since the volume was checked, and fenced to be resumed, lvm2's lock was free. */
int own_make(struct server *server)
{
	struct volume *volume = &server->own.volume;
	int status = lock_lvm(server);

	if (!status)
		status = volume_refresh(volume);
	if (!status)
		status = server->own.recorded ? check_own_table(volume) :
						check_loaded(volume);
	if (!status && blockdev_check_unused(&server->volume))
		status = EXIT_REFUSED;
	if (status)
		return status;
	server->created = true;
	return server->own.recorded ? fill_inner(server) : fence_locked(server);
}

int own_start(struct server *server)
{
	int r = swap_loaded(server->name);

	unlock_lvm(server);
	return r ? EXIT_ERROR : EXIT_OK;
}

static int fence_again(struct own *own)
{
	if (in_place_is_fenced(&own->volume))
		return EXIT_OK;
	if (is_bare(&own->volume))
		return in_place_fence(&own->volume, &own->inner, own->is_locked);
	return in_place_let_fail(&own->volume);
}

static int undo_tables(struct server *server)
{
	struct own *own = &server->own;
	int status = volume_refresh(&own->volume);

	if (!status && own->volume.dm.has_inactive_table &&
	    !in_place_is_loaded_by_other(&own->volume) &&
	    dm_clear(server->name))
		status = EXIT_ERROR;
	if (status)
		return status;
	if (!own->recorded)
		return fence_again(own);
	/* It may have been written to. The record and the metadata are kept. */
	if (in_place_is_live(&own->volume, NULL)) {
		fence_again(own);
		return EXIT_INCOMPLETE;
	}
	return own->inner.exists && dm_remove(own->inner.name) ? EXIT_ERROR :
								 EXIT_OK;
}

int own_undo(struct server *server)
{
	int status = server->created ? undo_tables(server) : EXIT_OK;

	unlock_lvm(server);
	return status;
}

int own_undo_record(struct server *server)
{
	if (!server->own.recorded)
		return EXIT_OK;
	return in_place_remove(server->options.uuid) ? EXIT_ERROR : EXIT_OK;
}
