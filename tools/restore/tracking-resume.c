// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resuming a restore whose changes are tracked. The store must be the one that it began
 * with, since another one lacks what was written so far. The image must be the one that
 * the bitmap belongs to. See tracking.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/exit.h"
#include "base/log.h"
#include "store/generation.h"
#include "store/identity.h"
#include "store/origin.h"
#include "restore/tracking.h"

/* Is it the store that the restore began with? */
static int check_found(struct server *server, struct meta_store *store,
		       const struct restore_description *recorded)
{
	const struct meta_store_bitmap *bitmap =
		meta_store_find(store, recorded->track);
	const char *path = store->path;
	char uuid[META_UUID_BYTES];

	if (!recorded->track_store ||
	    strcmp(meta_uuid(store, uuid), recorded->track_store)) {
		error("%s is not the metadata device that changes of %s were recorded on, which has the UUID %s",
		      path, server->outer,
		      recorded->track_store ? recorded->track_store : "-");
		return EXIT_REFUSED;
	}
	if (store->header.size_bytes != server->device_bytes || !bitmap ||
	    !(bitmap->entry.flags & QCOW2_BITMAP_AUTO)) {
		error("%s has no bitmap '%s' that records changes of %s; see dmlive bitmap list %s",
		      path, recorded->track, server->outer, path);
		return EXIT_REFUSED;
	}
	return EXIT_OK;
}

int tracking_find(struct server *server,
		  const struct restore_description *recorded)
{
	const char *path = recorded->track_meta;
	struct blockdev device;
	struct meta_store store;
	int status;

	if (!path || !path_is_blockdev(path)) {
		error("%s, where changes of %s are recorded, is not a block device; without it the restore cannot be resumed",
		      path ? path : "the metadata device", server->outer);
		return EXIT_REFUSED;
	}
	status = device_lock_metadata(server, path, &device);
	if (status)
		return status;
	if (meta_store_open(path, &store))
		return EXIT_ERROR;
	status = check_found(server, &store, recorded);
	meta_store_close(&store);
	if (status)
		return status;
	server->options.track = strdup(recorded->track);
	server->options.track_meta = strdup(path);
	return EXIT_OK;
}

/* Does the bitmap still belong to the image that the restore began with? */
static bool belongs_to_origin(struct meta_store *store,
			      struct meta_origin *origin)
{
	const struct meta_store_bitmap *bitmap;

	if (meta_origin_read(store, origin))
		return false;
	bitmap = meta_store_find(store, origin->bitmap);
	return bitmap && origin->generation == meta_generation(store, bitmap);
}

static int compare(const struct server *server, const struct meta_origin *origin)
{
	struct image_error err;
	char *identity;
	bool same;
	int r;

	r = image_identity_text(server->image, 0, &identity, &err);
	if (r && r != -ENOTSUP) {
		error("%s", err.message);
		return EXIT_ERROR;
	}
	same = identity && !strcmp(identity, origin->identity);
	free(identity);
	if (same)
		return EXIT_OK;
	error("%s is not the image that bitmap '%s' of %s belongs to; to use it nevertheless, which makes the next backup a full one: dmlive bitmap clear %s %s",
	      server->options.image, origin->bitmap,
	      server->options.track_meta, server->tracking.online ?
	      server->outer : server->options.track_meta, origin->bitmap);
	return EXIT_REFUSED;
}

int tracking_check_image(struct server *server)
{
	struct meta_origin origin = { 0 };
	struct meta_store store;
	int status = EXIT_OK;

	if (!server->options.track_meta || !server->image)
		return EXIT_OK;
	if (meta_store_open(server->options.track_meta, &store))
		return EXIT_ERROR;
	if (belongs_to_origin(&store, &origin))
		status = compare(server, &origin);
	meta_origin_free(&origin);
	meta_store_close(&store);
	return status;
}
