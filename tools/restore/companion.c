// SPDX-License-Identifier: GPL-2.0-only
/* Metadata devices beside the volume of a new restore, see companion.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/exit.h"
#include "base/log.h"
#include "base/size.h"
#include "block/lvm.h"
#include "block/stacking.h"
#include "store/format.h"
#include "restore/companion.h"
#include "restore/metadata.h"
#include "restore/server.h"

int companion_init(struct companion *companion,
		   const struct companion_kind *kind,
		   const struct meta_spec *spec)
{
	struct meta_layout layout;

	if (meta_layout_make(spec, &layout))
		return EXIT_ERROR;
	companion->kind = kind;
	companion->format = true;
	companion->bytes = meta_layout_bytes(&layout);
	meta_layout_free(&layout);
	return EXIT_OK;
}

/* Refuse a device that shares a device with the volume or with the other one. */
static int check_distinct(const struct server *server,
			  const struct blockdev *device)
{
	struct blockdev other;
	int status = metadata_check_distinct(device, &server->volume);

	if (status || !path_is_blockdev(server->meta.path))
		return status;
	if (blockdev_open(server->meta.path, &other))
		return EXIT_ERROR;
	if (!blockdev_is_above(other.devt, device->devt) &&
	    !blockdev_is_above(device->devt, other.devt))
		return EXIT_OK;
	error("%s and %s are, or lie on, the same device; what is restored and what changes need a metadata device each",
	      device->path, other.path);
	return EXIT_REFUSED;
}

/* What is not a block device is refused later. */
static int lock(struct server *server, const char *path)
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

int companion_take(struct server *server, struct companion *companion,
		   const char *path)
{
	const struct companion_kind *kind = companion->kind;
	char required[SIZE_TEXT_BYTES], available[SIZE_TEXT_BYTES];
	struct blockdev device;
	int status = lock(server, path);

	if (!status)
		status = metadata_check_device(path, &device);
	if (!status)
		status = kind->check_content(server, path, &device);
	if (status)
		return status;
	if (companion->format && device.bytes < companion->bytes) {
		error("%s is too small for the %s of %s: %s available, %s required (%" PRIu64 " bytes)",
		      path, kind->purpose, server->request->name,
		      size_format(device.bytes, available),
		      size_format(companion->bytes, required), companion->bytes);
		return EXIT_REFUSED;
	}
	blockdev_stable_path(&device, companion->path, sizeof(companion->path));
	return EXIT_OK;
}

int companion_plan(struct server *server, struct companion *companion)
{
	const struct companion_kind *kind = companion->kind;
	struct lvm_volume volume;

	if (!lvm_beside(&server->volume, kind->suffix, &volume)) {
		lvm_refuse_beside(kind->automatic, kind->given, &server->volume,
				  companion->bytes);
		return EXIT_REFUSED;
	}
	lvm_path(&volume, companion->path, sizeof(companion->path));
	companion->automatic = true;
	companion->left = path_is_blockdev(companion->path);
	return EXIT_OK;
}

int companion_make(struct server *server, struct companion *companion)
{
	const struct companion_kind *kind = companion->kind;
	struct lvm_plan plan = {
		.bytes = companion->bytes,
		.role = kind->role,
	};
	struct lvm_volume of;
	char reason[512];

	if (!lvm_find(&server->volume, &of) ||
	    !lvm_beside(&server->volume, kind->suffix, &plan.volume))
		return EXIT_ERROR;
	plan.of = of.name;
	/* It may have been removed with the restore that was given up. */
	if (companion->left && path_is_blockdev(companion->path) &&
	    lvm_remove(&plan.volume, reason, sizeof(reason))) {
		error("%s, left by an earlier restore, cannot be removed: %s",
		      companion->path, reason);
		return EXIT_ERROR;
	}
	if (lvm_create(&plan, reason, sizeof(reason))) {
		error("%s: the volume %s of %" PRIu64 " bytes cannot be made: %s; name another device: %s DEVICE",
		      kind->automatic, companion->path, companion->bytes,
		      reason, kind->given);
		return EXIT_REFUSED;
	}
	companion->made = true;
	return EXIT_OK;
}

int companion_format(struct companion *companion, const struct meta_spec *spec)
{
	int r = meta_format(companion->path, spec, true);

	if (r == -EBUSY || r == -ENOSPC)
		return EXIT_REFUSED;
	return r ? EXIT_ERROR : EXIT_OK;
}

void companion_remove(struct server *server, const struct companion *companion)
{
	struct lvm_volume volume;
	char reason[512];

	if (lvm_beside(&server->volume, companion->kind->suffix, &volume) &&
	    lvm_remove(&volume, reason, sizeof(reason)))
		warning("%s is not needed, but cannot be removed: %s",
			companion->path, reason);
}
