// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recover: after a crash or a restart of the machine, only the metadata device is left
 * of an unfinished restore. Its mapped device is made again as it was. If all data are on
 * the volume already, that needs neither image nor server, and only the swap to a linear
 * mapping is left to do.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "attach/in-place.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/dm-uuid.h"
#include "restore/clear.h"
#include "restore/metadata.h"
#include "restore/own-device.h"
#include "restore/report.h"
#include "restore/server.h"
#include "restore/tracking.h"

/* The command line takes precedence over the metadata. */
static void take_options(struct server *server, const struct metadata *metadata)
{
	const struct restore_description *recorded = &metadata->description;
	const struct restore_request *request = server->request;
	struct restore_options *options = &server->options;

	restore_options_set(&options->image,
			    request->image ?: metadata->store.backing);
	restore_options_set(&options->format, request->format || request->image ?
			    request->format : metadata->store.backing_format);
	restore_options_set(&options->snapshot,
			    request->snapshot ?: recorded->snapshot);
	restore_options_set(&options->outer, server->outer);
	options->nr_threads = request->nr_threads ? request->nr_threads :
						    recorded->nr_threads;
	/* From a disk: it may be anything. */
	if (options->nr_threads > RESTORE_MAX_THREADS)
		options->nr_threads = RESTORE_MAX_THREADS;
	options->no_finish = request->no_finish || recorded->no_finish;
	options->force = request->force || recorded->force;
	options->allow_paths = request->allow_paths || recorded->allow_paths;
	server->in_place = recorded->in_place;
	/* The same: it must not be the UUID of another kind of device. */
	if (server->in_place)
		options->uuid[0] = '\0';
	else if (recorded->uuid && dm_uuid_is_ours(recorded->uuid))
		snprintf(options->uuid, sizeof(options->uuid), "%s",
			 recorded->uuid);
	else
		device_make_uuid(server);
	server->features = recorded->features;
	server->device_bytes = metadata->store.header.size_bytes;
	server->block_bytes = metadata->block_bytes;
	server->nothing_left = metadata->allocated_bytes ==
			       server->device_bytes;
}

static int check_metadata(const struct metadata *metadata)
{
	const char *path = metadata->store.path;
	const char *name = metadata->description.in_place ?
			   metadata->description.name : NULL;

	if (metadata->description.finished) {
		error("%s: its restore is over, there is nothing to resume%s%s%s",
		      path, name ? "; if a volume still fails all I/O for it: dmlive detach " : "",
		      name ?: "", name ? " --force" : "");
		return EXIT_REFUSED;
	}
	if (metadata->block_bytes < RESTORE_MIN_BLOCK_BYTES ||
	    metadata->block_bytes > RESTORE_MAX_BLOCK_BYTES) {
		error("%s: its bitmap %s has a granularity of %" PRIu64 " bytes; 4K to 2M are supported",
		      path, METADATA_BITMAP, metadata->block_bytes);
		return EXIT_REFUSED;
	}
	return EXIT_OK;
}

/* Another disk may have this path now: it must not be overwritten. */
static int check_identity(struct server *server,
			  const struct restore_description *recorded)
{
	char identity[512];

	blockdev_identity(&server->volume, identity, sizeof(identity));
	if (server->request->force || !recorded->volume_identity ||
	    !strcmp(identity, recorded->volume_identity))
		return EXIT_OK;
	error("%s is %s, but the restore began on the device %s; name that with --target, or, if %s is the right one, use --force",
	      server->volume.path,
	      identity[0] ? identity : "a device without an identity",
	      recorded->volume_identity, server->volume.path);
	return EXIT_REFUSED;
}

static int open_volume(struct server *server, const struct metadata *metadata)
{
	const struct restore_description *recorded = &metadata->description;
	const char *path = server->in_place ? dm_node_path(server->name) :
					      server->request->moved_volume;
	struct blockdev *volume = &server->volume;

	if (!path)
		path = recorded->volume;
	if (!path) {
		error("%s does not say what device is restored; name it with --target",
		      metadata->store.path);
		return EXIT_USAGE;
	}
	if (blockdev_open(path, volume))
		return EXIT_ERROR;
	server->data = *volume;
	server->options.volume = strdup(volume->path);
	if (volume->bytes < server->device_bytes) {
		error("%s is too small: %" PRIu64 " bytes available, %" PRIu64 " required; is it the right device?",
		      path, volume->bytes, server->device_bytes);
		return EXIT_REFUSED;
	}
	return check_identity(server, recorded);
}

/* An older restore, onto a volume that another one restores in place. */
static int check_not_in_place(struct server *server)
{
	struct volume *volume = &server->own.volume;

	if (server->in_place)
		return EXIT_OK;
	return volume_find(server->volume.path, volume) ?:
	       in_place_check_none(volume);
}

static int check_volume(struct server *server)
{
	struct blockdev *volume = &server->volume;

	if (volume->read_only) {
		error("%s is read-only", volume->path);
		return EXIT_REFUSED;
	}
	if (blockdev_check_own_files(volume) || blockdev_check_unused(volume))
		return EXIT_REFUSED;
	return check_not_in_place(server);
}

static int open_image(struct server *server,
		      const struct restore_description *recorded)
{
	struct image_identity now;
	bool matches;
	int status = server_reopen_image(server);

	if (status)
		return status;
	image_identity_get(server->options.image, server->image_bytes, &now);
	matches = image_identity_matches(&recorded->image, &now);
	image_identity_free(&now);
	return server_check_image(server, matches);
}

/* Was the swap made before the crash? */
static bool is_swapped(struct server *server)
{
	struct dm_line line = { 0 };
	char wanted[64];
	bool swapped;

	snprintf(wanted, sizeof(wanted), "%u:%u 0",
		 major(server->volume.devt), minor(server->volume.devt));
	swapped = !dm_get_line(server->name, DM_LINE_TABLE, &line, NULL) &&
		  line.nr_lines == 1 && !strcmp(line.target, "linear") &&
		  !strcmp(line.params, wanted);
	dm_line_free(&line);
	return swapped;
}

static int make(struct server *server, const struct metadata *metadata,
		const struct blockdev *device)
{
	int status = server->in_place ? EXIT_OK : device_check_name(server);

	if (!status && server->outer)
		status = tracking_find(server, &metadata->description);
	if (!status)
		status = metadata_check_distinct(device, &server->volume);
	if (!status)
		status = device_lock(server, &server->volume);
	if (!status && server->in_place)
		status = own_fence(server);
	if (!status && !server->nothing_left)
		status = open_image(server, &metadata->description);
	if (!status)
		status = tracking_check_image(server);
	if (!status)
		status = check_volume(server);
	if (!status && metadata_set_machine(metadata))
		status = EXIT_ERROR;
	if (!status && server_is_interrupted())
		status = EXIT_ERROR;
	/* First: with lvm2's lock, the inner device maps what belongs to the volume. */
	if (!status && server->in_place)
		status = own_make(server);
	if (!status)
		status = clear_resumed(server, metadata,
				       server_is_interrupted);
	if (!status)
		status = device_make(server);
	return status ? status : device_start(server);
}

static int end_in_place(struct server *server)
{
	if (own_finish(server->name) || metadata_retire(server->meta.path))
		return EXIT_ERROR;
	own_forget(server->name);
	return EXIT_OK;
}

static int prepare(struct server *server, struct metadata *metadata,
		   const struct blockdev *device)
{
	int status = check_metadata(metadata);
	bool is_complete = false;

	if (status)
		return status;
	take_options(server, metadata);
	server->options.meta = strdup(server->meta.path);
	status = open_volume(server, metadata);
	if (!status && server->in_place)
		status = own_find(server, metadata->description.uuid) ?:
			 own_check_record(server, &is_complete);
	if (status)
		return status;
	if (is_complete || (server->nothing_left && server->in_place))
		return end_in_place(server);
	if (server->nothing_left && is_swapped(server)) {
		metadata_retire(server->meta.path);
		return EXIT_OK;
	}
	return make(server, metadata, device);
}

int recover_prepare(struct server *server)
{
	const char *path = server->request->meta;
	struct metadata metadata;
	struct blockdev device;
	int status;

	status = device_lock_metadata(server, path, &device);
	if (status)
		return status;
	if (metadata_open(path, &metadata))
		return EXIT_ERROR;
	blockdev_stable_path(&device, server->meta.path, sizeof(server->meta.path));
	status = prepare(server, &metadata, &device);
	metadata_close(&metadata);
	return status;
}
