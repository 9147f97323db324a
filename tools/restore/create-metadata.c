// SPDX-License-Identifier: GPL-2.0-only
/*
 * The metadata device of a new restore: where it is, whether it may be taken, and
 * making the store.
 *
 * Metadata of an earlier restore onto the same volume become wrong with the first
 * block that is written to it. So they are retired before that; if they are still
 * needed, only when that is forced.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/log.h"
#include "block/lvm.h"
#include "base/size.h"
#include "store/format.h"
#include "store/registry.h"
#include "restore/metadata.h"
#include "restore/server.h"

#define AUTOMATIC "auto"

/* The volume that --meta auto makes for this volume. False: it is not a volume. */
static bool automatic_volume(const struct server *server,
			     struct lvm_volume *volume)
{
	return lvm_beside(&server->volume, METADATA_LV_SUFFIX, volume);
}

static bool is_wanted(const struct server *server, const char *path)
{
	struct stat a, b;

	return server->request->meta && !stat(server->request->meta, &a) &&
	       !stat(path, &b) && S_ISBLK(a.st_mode) && S_ISBLK(b.st_mode) &&
	       a.st_rdev == b.st_rdev;
}

/* @path may hold the record of an earlier restore onto the volume. */
static int check_begun(struct server *server, const char *path)
{
	char what[256];
	int state;

	/* The device that was asked for is checked later. */
	if (server->request->force || is_wanted(server, path) ||
	    !path_is_blockdev(path))
		return EXIT_OK;
	state = metadata_probe(path, what, sizeof(what));
	if (state < 0) {
		error("%s, which may tell of a restore onto %s, cannot be read; to give that up: --force",
		      path, server->volume.path);
		return EXIT_ERROR;
	}
	if (state != METADATA_UNFINISHED)
		return EXIT_OK;
	error("a restore onto %s has begun and is not finished; to go on with it: dmlive resume %s; to give it up and start over: --force",
	      server->volume.path, path);
	return EXIT_REFUSED;
}

typedef int (*act_fn)(struct server *server, const char *meta);

struct records {
	struct server *server;
	act_fn act;
};

static int act_on_record(const char *name,
			 const struct restore_options *options, void *argument)
{
	struct records *records = argument;
	struct stat st;

	(void)name;
	if (!options->meta || !options->volume ||
	    stat(options->volume, &st) || !S_ISBLK(st.st_mode) ||
	    st.st_rdev != records->server->volume.devt)
		return 0;
	return records->act(records->server, options->meta);
}

/* Call @act for each device that may record an earlier restore. */
static int with_each_begun(struct server *server, act_fn act)
{
	struct records records = { .server = server, .act = act };
	struct lvm_volume volume;
	char path[PATH_MAX];
	int status = EXIT_OK;

	if (automatic_volume(server, &volume))
		status = act(server, lvm_path(&volume, path, sizeof(path)));
	if (!status)
		status = runtime_for_each(act_on_record, &records);
	return status;
}

int create_check_begun(struct server *server)
{
	return with_each_begun(server, check_begun);
}

static int retire(struct server *server, const char *path)
{
	char what[256];
	struct blockdev device;
	int state;

	if (is_wanted(server, path) || !path_is_blockdev(path))
		return EXIT_OK;
	state = metadata_probe(path, what, sizeof(what));
	if (state != METADATA_UNFINISHED && state != METADATA_COMPLETE)
		return EXIT_OK;
	if (blockdev_open(path, &device))
		return EXIT_ERROR;
	if (blockdev_check_unused(&device))
		return EXIT_REFUSED;
	metadata_retire(path);
	return EXIT_OK;
}

static const struct meta_bitmap *the_bitmap(const struct server *server)
{
	static struct meta_bitmap bitmap = {
		.name = METADATA_BITMAP,
		.autoload = true,
	};

	bitmap.granularity = server->block_bytes;
	return &bitmap;
}

static int needed_bytes(struct server *server, uint64_t *bytes)
{
	struct meta_spec spec = {
		.size = server->device_bytes,
		.nr_bitmaps = 1,
		.bitmaps = the_bitmap(server),
	};
	struct meta_layout layout;

	if (meta_layout_make(&spec, &layout))
		return EXIT_ERROR;
	*bytes = layout.nr_clusters << META_CLUSTER_BITS;
	meta_layout_free(&layout);
	return EXIT_OK;
}

/* A path that is not a block device is refused after this. */
static int lock_given(struct server *server, const char *path)
{
	struct blockdev meta;
	int status;

	if (!path_is_blockdev(path))
		return EXIT_OK;
	if (blockdev_open(path, &meta))
		return EXIT_ERROR;
	/* First: the volume is locked already, and locking it twice would fail. */
	status = metadata_check_distinct(&meta, &server->volume);
	return status ? status : device_lock(server, &meta);
}

static int check_given(struct server *server, uint64_t bytes)
{
	char needed[SIZE_TEXT_BYTES], present[SIZE_TEXT_BYTES];
	const char *path = server->request->meta;
	struct blockdev meta;
	int status;

	status = lock_given(server, path);
	if (!status)
		status = metadata_check(path, server->request->force);
	if (status)
		return status;
	if (blockdev_open(path, &meta))
		return EXIT_ERROR;
	if (meta.bytes < bytes) {
		error("%s is too small for the metadata: it has %s, needed are %s (%" PRIu64 " bytes)",
		      path, size_format(meta.bytes, present),
		      size_format(bytes, needed), bytes);
		return EXIT_REFUSED;
	}
	blockdev_stable_path(&meta, server->meta, sizeof(server->meta));
	return EXIT_OK;
}

static int check_automatic(struct server *server, uint64_t bytes)
{
	struct lvm_volume volume;
	char path[PATH_MAX];

	if (!automatic_volume(server, &volume)) {
		lvm_refuse_beside("--meta auto", "--meta", &server->volume,
				  METADATA_LV_SUFFIX, bytes);
		return EXIT_REFUSED;
	}
	lvm_path(&volume, path, sizeof(path));
	server->meta_automatic = true;
	snprintf(server->meta, sizeof(server->meta), "%s", path);
	/* Left by an earlier restore: is it still needed? */
	return path_is_blockdev(path) ?
	       metadata_check(path, server->request->force) : EXIT_OK;
}

int create_check_metadata(struct server *server)
{
	const char *wanted = server->request->meta;
	uint64_t bytes;
	int status;

	if (!wanted)
		return EXIT_OK;
	status = needed_bytes(server, &bytes);
	if (status)
		return status;
	return strcmp(wanted, AUTOMATIC) ? check_given(server, bytes) :
					   check_automatic(server, bytes);
}

static int make_volume(struct server *server)
{
	struct lvm_volume volume;
	char reason[512];
	uint64_t bytes;

	if (!automatic_volume(server, &volume) || needed_bytes(server, &bytes))
		return EXIT_ERROR;
	if (path_is_blockdev(server->meta) &&
	    lvm_remove(&volume, reason, sizeof(reason))) {
		error("%s, left by an earlier restore, cannot be removed: %s",
		      server->meta, reason);
		return EXIT_ERROR;
	}
	if (lvm_create(&volume, bytes, reason, sizeof(reason))) {
		error("--meta auto: the volume %s of %" PRIu64 " bytes cannot be made: %s; give another device: --meta DEVICE",
		      server->meta, bytes, reason);
		return EXIT_REFUSED;
	}
	server->meta_made = true;
	return EXIT_OK;
}

static char *describe(struct server *server)
{
	char volume[PATH_MAX], identity[512];
	struct restore_description description = {
		.automatic = server->meta_automatic,
		.name = (char *)server->request->name,
		.uuid = server->options.uuid,
		.volume = (char *)blockdev_stable_path(&server->volume, volume,
						       sizeof(volume)),
		.snapshot = server->options.snapshot,
		.track = server->options.track,
		.track_meta = server->options.track_meta,
		.track_store = server->tracking.store,
		.features = server->features,
		.nr_threads = server->options.nr_threads,
		.no_finish = server->options.no_finish,
		.force = server->options.force,
		.allow_paths = server->options.allow_paths,
	};
	char *text;

	if (*blockdev_identity(&server->volume, identity, sizeof(identity)))
		description.volume_identity = identity;
	image_identity_get(server->options.image, server->image_bytes,
			   &description.image);
	text = description_format(&description);
	image_identity_free(&description.image);
	return text;
}

static int format(struct server *server)
{
	char *description = describe(server);
	struct meta_spec spec = {
		.size = server->device_bytes,
		.nr_bitmaps = 1,
		.bitmaps = the_bitmap(server),
		.backing = server->options.image,
		.backing_format = image_format(server->image),
		.description = description,
	};
	int r = description ? meta_format(server->meta, &spec, true) : -ENOMEM;

	free(description);
	if (r == -EBUSY || r == -ENOSPC)
		return EXIT_REFUSED;
	return r ? EXIT_ERROR : EXIT_OK;
}

int create_make_metadata(struct server *server)
{
	int status;

	status = with_each_begun(server, retire);
	if (!status) {
		registry_clean();
		registry_void(&server->volume, server->options.track_meta);
	}
	if (!status && server->meta_automatic)
		status = make_volume(server);
	if (!status && server->meta[0])
		status = format(server);
	if (status || !server->meta[0])
		return status;
	server->meta_made = true;
	server->options.meta = strdup(server->meta);
	return EXIT_OK;
}

void create_undo_metadata(struct server *server)
{
	struct lvm_volume volume;
	char reason[512];

	if (!server->meta_automatic) {
		metadata_retire(server->meta);
		return;
	}
	/* Remove the volume: it may not even be formatted. */
	if (automatic_volume(server, &volume) &&
	    lvm_remove(&volume, reason, sizeof(reason)))
		warning("%s is not needed, but cannot be removed: %s",
			server->meta, reason);
}
