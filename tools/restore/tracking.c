// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store that tracks a device from the start of its restore, see tracking.h.
 *
 * A store that was in use before is refused, or formatted again: its bitmaps record
 * changes to what the volume held until now, and would lack what the restore changes.
 * With its new UUID it belongs to no earlier backup.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines/cbw-table.h"
#include "base/exit.h"
#include "base/log.h"
#include "store/bits.h"
#include "store/format.h"
#include "store/generation.h"
#include "store/identity.h"
#include "store/origin.h"
#include "store/registry.h"
#include "store/seal.h"
#include "qcow2/content.h"
#include "restore/companion.h"
#include "restore/tracking.h"

#define AUTOMATIC	"auto"

/* Suffix of the name of the companion volume. */
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

static int say_no_base(const struct server *server, const char *why)
{
	warning("%s: bitmap '%s' belongs to no backup, so the next backup of %s is a full one",
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
				   "an image cannot have an internal snapshot as its backing");
	r = image_identity_text(server->image, 0, &server->tracking.identity,
				&err);
	if (r == -ENOTSUP)
		return say_no_base(server, err.message);
	if (!r)
		return EXIT_OK;
	error("%s", err.message);
	return EXIT_ERROR;
}

/* Why the store cannot be used as it is; NULL: it can. */
static const char *judge_store(const struct server *server,
			       struct meta_store *store, char *why,
			       size_t why_bytes)
{
	const struct meta_store_bitmap *bitmap =
		meta_store_find(store, server->request->track);
	char uuid[META_UUID_BYTES];

	if (!*meta_uuid(store, uuid) || !store->header.bitmaps_valid ||
	    !store->header.state_offset)
		return "holds a qcow2 image that is no store for tracking changes";
	if (store->header.state_flags & QCOW2_DMLIVE_USED)
		return "holds bitmaps that were in use, and would lack what the restore changes";
	if (store->header.size_bytes != server->device_bytes) {
		snprintf(why, why_bytes,
			 "holds bitmaps for a device of %" PRIu64 " bytes, and %s gets %" PRIu64 " bytes",
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
	server->tracking.device.format = reason;
	if (!reason || server->request->force)
		return EXIT_OK;
	error("%s %s; to format it again for the tracking of %s: --force",
	      path, reason, server->outer);
	return EXIT_REFUSED;
}

static int check_content(struct server *server, const char *path,
			 const struct blockdev *device)
{
	char what[256];
	int r = blockdev_has_qcow2(path);

	if (r < 0)
		return EXIT_ERROR;
	if (r)
		return check_store(server, path);
	r = blockdev_check_empty(device, what, sizeof(what));
	if (r && r != -EEXIST)
		return EXIT_ERROR;
	if (!r || server->request->force)
		return EXIT_OK;
	error("%s holds a %s; to overwrite it for the tracking of %s: --force",
	      path, what, server->outer);
	return EXIT_REFUSED;
}

static int check_kernel(void)
{
	if (dm_has_target(CBW_TARGET))
		return EXIT_OK;
	error("--track: the kernel has no target cbw; load its module: modprobe dm-cbw");
	return EXIT_REFUSED;
}

static int check_device(struct server *server)
{
	static const struct companion_kind kind = {
		.automatic = "--track",
		.given = "--track-meta",
		.suffix = LV_SUFFIX,
		.role = "bitmaps",
		.purpose = "tracking",
		.check_content = check_content,
	};
	const char *wanted = server->request->track_meta;
	struct companion *device = &server->tracking.device;
	struct contents contents;
	int status;

	plan_contents(server, &contents);
	status = companion_init(device, &kind, &contents.spec);
	if (status)
		return status;
	if (wanted && strcmp(wanted, AUTOMATIC))
		return companion_take(server, device, wanted);
	status = companion_plan(server, device);
	if (status || !device->left)
		return status;
	/* Left by an earlier restore: check it as a device that the user names. */
	device->automatic = false;
	return companion_take(server, device, device->path);
}

int tracking_check(struct server *server)
{
	int status;

	if (!server->request->track)
		return EXIT_OK;
	status = check_kernel();
	if (!status)
		status = find_identity(server);
	return status ? status : check_device(server);
}

static int format(struct server *server)
{
	struct tracking *tracking = &server->tracking;
	struct contents contents;
	struct meta_store store;
	int status;

	if (meta_make_uuid(tracking->uuid))
		return EXIT_ERROR;
	plan_contents(server, &contents);
	status = companion_format(&tracking->device, &contents.spec);
	if (status)
		return status;
	if (meta_store_open(tracking->device.path, &store))
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

/* Empty the bitmap, and tie it to the image. */
static int begin_bitmap(struct server *server)
{
	struct meta_store_bitmap *bitmap;
	struct meta_writer writer;
	int r;

	r = meta_writer_open(server->tracking.device.path, 0, &writer);
	if (r)
		return r == -EBUSY ? EXIT_REFUSED : EXIT_ERROR;
	bitmap = meta_store_find(&writer.store, server->request->track);
	if (!bitmap) {
		error("%s: bitmap '%s' has just been removed",
		      server->tracking.device.path, server->request->track);
		r = -ENOENT;
	}
	if (!r && !server->tracking.device.format)
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
	struct companion *device = &server->tracking.device;
	int status = EXIT_OK;

	if (!server->request->track)
		return EXIT_OK;
	if (device->automatic)
		status = companion_make(server, device);
	if (status)
		return status;
	device->made = true;
	if (device->format)
		status = format(server);
	if (!status)
		status = begin_bitmap(server);
	server->options.track_meta = strdup(device->path);
	return status;
}

static void drop_generation(const struct server *server)
{
	struct meta_store_bitmap *bitmap;
	struct meta_writer writer;

	if (meta_writer_open(server->tracking.device.path, 0, &writer))
		return;
	bitmap = meta_store_find(&writer.store, server->request->track);
	if (bitmap)
		meta_drop_generation(&writer, bitmap);
	meta_writer_close(&writer);
}

void tracking_undo(struct server *server)
{
	const struct companion *device = &server->tracking.device;

	if (!device->made)
		return;
	if (device->automatic)
		companion_remove(server, device);
	else if (device->format)
		meta_wipe(device->path);
	else
		drop_generation(server);
}
