// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store that tracks a device from the start of its restore, see tracking.h.
 *
 * A store that was in use before is never used as it is: its other bitmaps record
 * changes of what the device held until now, and each of them would lack what the
 * restore changes. A newly formatted one has another UUID, so that it belongs to no
 * earlier backup.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines/cbw-table.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/lvm.h"
#include "base/size.h"
#include "block/stacking.h"
#include "store/bits.h"
#include "store/format.h"
#include "store/generation.h"
#include "store/identity.h"
#include "store/origin.h"
#include "store/registry.h"
#include "store/seal.h"
#include "qcow2/content.h"
#include "restore/tracking.h"

#define AUTOMATIC	"auto"

/* The name of the store that is made beside a volume: NAME and this. */
#define LV_SUFFIX	"_dmlive_track"

/* The contents of a new store. */
struct contents {
	struct meta_bitmap bitmaps[META_TRACK_SPARES + 2];
	meta_spare_name names[META_TRACK_SPARES];
	struct meta_spec spec;
};

static void plan_contents(const struct server *server,
			  struct contents *contents)
{
	contents->bitmaps[0] = (struct meta_bitmap) {
		.name = server->request->track,
		.granularity = META_TRACK_GRANULARITY,
		.autoload = true,
	};
	contents->spec = (struct meta_spec) {
		.size = server->device_bytes,
		.bitmaps = contents->bitmaps,
		.nr_bitmaps = 1 + meta_track_bitmaps(contents->bitmaps + 1,
						     contents->names,
						     META_TRACK_SPARES,
						     META_TRACK_GRANULARITY),
		.store_uuid = server->tracking.uuid,
	};
}

static int needed_bytes(const struct server *server, uint64_t *bytes)
{
	struct contents contents;
	struct meta_layout layout;

	plan_contents(server, &contents);
	if (meta_layout_make(&contents.spec, &layout))
		return EXIT_ERROR;
	*bytes = meta_layout_bytes(&layout);
	meta_layout_free(&layout);
	return EXIT_OK;
}

static int say_no_base(const struct server *server, const char *why)
{
	warning("%s: so bitmap '%s' goes with no backup, and the next one of %s is a full one",
		why, server->request->track, server->outer);
	return EXIT_OK;
}

/* Find the identity of the image that the bitmap belongs to. */
static int find_identity(struct server *server)
{
	struct image_error err;
	int r;

	if (server->options.snapshot)
		return say_no_base(server,
				   "no image can lie on the internal snapshot of another");
	r = image_identity_text(server->image, 0, &server->tracking.identity,
				&err);
	if (r == -ENOTSUP)
		return say_no_base(server, err.message);
	if (!r)
		return EXIT_OK;
	error("%s", err.message);
	return EXIT_ERROR;
}

/* The reason why the store cannot be used as it is, NULL: it can. */
static const char *judge_store(const struct server *server,
			       struct meta_store *store, char *why,
			       size_t why_bytes)
{
	const struct meta_store_bitmap *bitmap =
		meta_store_find(store, server->request->track);
	char uuid[META_UUID_BYTES];

	if (!*meta_uuid(store, uuid) || !store->header.bitmaps_valid ||
	    !store->header.state_offset)
		return "holds a qcow2 image that is no store for tracking";
	if (store->header.state_flags & QCOW2_DMLIVE_USED)
		return "holds bitmaps that were in use: they would lack what the restore changes";
	if (store->header.size_bytes != server->device_bytes) {
		snprintf(why, why_bytes,
			 "holds bitmaps for a device of %" PRIu64 " bytes, and %s gets %" PRIu64,
			 (uint64_t)store->header.size_bytes, server->outer,
			 server->device_bytes);
		return why;
	}
	if (bitmap && bitmap->entry.flags & QCOW2_BITMAP_AUTO)
		return NULL;
	snprintf(why, why_bytes,
		 "has no bitmap '%s' that is enabled (dmlive bitmap add)",
		 server->request->track);
	return why;
}

static int check_store(struct server *server, const char *path)
{
	const char *reason = "holds a qcow2 image that cannot be read";
	struct meta_store store;
	char why[512];

	if (!meta_store_open(path, &store)) {
		reason = judge_store(server, &store, why, sizeof(why));
		meta_uuid(&store, server->tracking.store);
		meta_store_close(&store);
	}
	server->tracking.format = reason;
	if (!reason || server->request->force)
		return EXIT_OK;
	error("%s %s; to format it anew for the tracking of %s: --force", path,
	      reason, server->outer);
	return EXIT_REFUSED;
}

static int check_content(struct server *server, const struct blockdev *device)
{
	char what[256];
	int r = blockdev_has_qcow2(device->path);

	if (r < 0)
		return EXIT_ERROR;
	if (r)
		return check_store(server, device->path);
	server->tracking.format = true;
	r = blockdev_check_empty(device, what, sizeof(what));
	if (r && r != -EEXIST)
		return EXIT_ERROR;
	if (!r || server->request->force)
		return EXIT_OK;
	error("%s holds a %s; to use it for the tracking of %s all the same: --force",
	      device->path, what, server->outer);
	return EXIT_REFUSED;
}

/* It must be neither the volume nor the metadata device of the restore. */
static int check_distinct(const struct server *server,
			  const struct blockdev *device)
{
	struct blockdev meta;
	int status = metadata_check_distinct(device, &server->volume);

	if (status || !path_is_blockdev(server->meta))
		return status;
	if (blockdev_open(server->meta, &meta))
		return EXIT_ERROR;
	if (!blockdev_is_above(meta.devt, device->devt) &&
	    !blockdev_is_above(device->devt, meta.devt))
		return EXIT_OK;
	error("%s and %s are, or lie on, the same device; what is restored and what changes need a metadata device each",
	      device->path, meta.path);
	return EXIT_REFUSED;
}

/* A path that is not a block device is refused after this. */
static int lock_given(struct server *server, const char *path)
{
	struct blockdev device;
	int status;

	if (!path_is_blockdev(path))
		return EXIT_OK;
	if (blockdev_open(path, &device))
		return EXIT_ERROR;
	/* First: the others are locked already, and locking one twice would fail. */
	status = check_distinct(server, &device);
	return status ? status : device_lock(server, &device);
}

static int check_given(struct server *server, const char *path, uint64_t bytes)
{
	char needed[SIZE_TEXT_BYTES], present[SIZE_TEXT_BYTES];
	struct blockdev device;
	int status = lock_given(server, path);

	if (!status)
		status = metadata_check_device(path, &device);
	if (!status)
		status = check_content(server, &device);
	if (status)
		return status;
	if (server->tracking.format && device.bytes < bytes) {
		error("%s is too small for the tracking of %s: it has %s, needed are %s (%" PRIu64 " bytes)",
		      path, server->outer, size_format(device.bytes, present),
		      size_format(bytes, needed), bytes);
		return EXIT_REFUSED;
	}
	blockdev_stable_path(&device, server->tracking.path,
			     sizeof(server->tracking.path));
	return EXIT_OK;
}

static int check_automatic(struct server *server, uint64_t bytes)
{
	struct lvm_volume volume;
	char *path = server->tracking.path;

	if (!lvm_beside(&server->volume, LV_SUFFIX, &volume)) {
		lvm_refuse_beside("--track", "--track-meta", &server->volume,
				  LV_SUFFIX, bytes);
		return EXIT_REFUSED;
	}
	lvm_path(&volume, path, sizeof(server->tracking.path));
	/* Left by an earlier restore: is it still needed? */
	if (path_is_blockdev(path))
		return check_given(server, path, bytes);
	server->tracking.automatic = true;
	server->tracking.format = true;
	return EXIT_OK;
}

static int check_kernel(void)
{
	if (dm_has_target(CBW_TARGET))
		return EXIT_OK;
	error("--track: the kernel has no target cbw; load its module: modprobe dm-cbw");
	return EXIT_REFUSED;
}

int tracking_check(struct server *server)
{
	const char *wanted = server->request->track_meta;
	uint64_t bytes;
	int status;

	if (!server->request->track)
		return EXIT_OK;
	status = check_kernel();
	if (!status)
		status = find_identity(server);
	if (!status)
		status = needed_bytes(server, &bytes);
	if (!status)
		status = !wanted || !strcmp(wanted, AUTOMATIC) ?
			 check_automatic(server, bytes) :
			 check_given(server, wanted, bytes);
	return status;
}

static int make_volume(struct server *server)
{
	struct lvm_volume volume;
	char reason[512];
	uint64_t bytes;

	if (!lvm_beside(&server->volume, LV_SUFFIX, &volume) ||
	    needed_bytes(server, &bytes))
		return EXIT_ERROR;
	if (!lvm_create(&volume, bytes, reason, sizeof(reason)))
		return EXIT_OK;
	error("--track: the volume %s of %" PRIu64 " bytes cannot be made: %s; give another device: --track-meta DEVICE",
	      server->tracking.path, bytes, reason);
	return EXIT_REFUSED;
}

static int format(struct server *server)
{
	struct tracking *tracking = &server->tracking;
	struct contents contents;
	struct meta_store store;
	int r;

	if (meta_make_uuid(tracking->uuid))
		return EXIT_ERROR;
	plan_contents(server, &contents);
	r = meta_format(tracking->path, &contents.spec, true);
	if (r == -EBUSY || r == -ENOSPC)
		return EXIT_REFUSED;
	if (r || meta_store_open(tracking->path, &store))
		return EXIT_ERROR;
	meta_uuid(&store, tracking->store);
	meta_store_close(&store);
	return EXIT_OK;
}

static int write_origin(struct server *server, struct meta_writer *writer,
			struct meta_store_bitmap *bitmap)
{
	struct meta_origin origin = {
		.bitmap = (char *)server->request->track,
		.identity = server->tracking.identity,
		.image = server->options.image,
		.format = (char *)image_format(server->image),
	};

	if (!origin.identity)
		return meta_drop_generation(writer, bitmap);
	return meta_new_generation(&origin.generation) ?:
	       meta_origin_write(writer, bitmap, &origin);
}

/* The restored device has the content of the volume, whatever its own name. */
static int bind_store(struct server *server, struct meta_writer *writer)
{
	struct qcow2_seal seal;

	if (!meta_seal_read(&writer->store, &seal) ||
	    server->volume.bytes != server->device_bytes)
		return 0;
	blockdev_identity(&server->volume, seal.identity, sizeof(seal.identity));
	registry_note(&writer->store, seal.identity);
	return meta_seal_write(writer, &seal);
}

/* The bitmap is empty, and belongs to the image. */
static int begin_bitmap(struct server *server)
{
	struct meta_store_bitmap *bitmap;
	struct meta_writer writer;
	int r;

	r = meta_writer_open(server->tracking.path, 0, &writer);
	if (r)
		return r == -EBUSY ? EXIT_REFUSED : EXIT_ERROR;
	bitmap = meta_store_find(&writer.store, server->request->track);
	if (!bitmap) {
		error("%s: bitmap '%s' was removed just now",
		      server->tracking.path, server->request->track);
		r = -ENOENT;
	}
	if (!r && !server->tracking.format)
		r = meta_clear_bits(&writer, bitmap);
	if (!r)
		r = write_origin(server, &writer, bitmap);
	if (!r)
		r = bind_store(server, &writer);
	meta_writer_close(&writer);
	return r ? EXIT_ERROR : EXIT_OK;
}

int tracking_make(struct server *server)
{
	struct tracking *tracking = &server->tracking;
	int status = EXIT_OK;

	if (!server->request->track)
		return EXIT_OK;
	if (tracking->automatic)
		status = make_volume(server);
	if (status)
		return status;
	tracking->made = true;
	if (tracking->format)
		status = format(server);
	if (!status)
		status = begin_bitmap(server);
	server->options.track_meta = strdup(tracking->path);
	return status;
}

static void remove_volume(struct server *server)
{
	struct lvm_volume volume;
	char reason[512];

	if (lvm_beside(&server->volume, LV_SUFFIX, &volume) &&
	    lvm_remove(&volume, reason, sizeof(reason)))
		warning("%s is not needed, but cannot be removed: %s",
			server->tracking.path, reason);
}

static void drop_generation(const struct server *server)
{
	struct meta_store_bitmap *bitmap;
	struct meta_writer writer;

	if (meta_writer_open(server->tracking.path, 0, &writer))
		return;
	bitmap = meta_store_find(&writer.store, server->request->track);
	if (bitmap)
		meta_drop_generation(&writer, bitmap);
	meta_writer_close(&writer);
}

void tracking_undo(struct server *server)
{
	if (!server->tracking.made)
		return;
	if (server->tracking.automatic)
		remove_volume(server);
	else if (server->tracking.format)
		meta_wipe(server->tracking.path);
	else
		drop_generation(server);
}
