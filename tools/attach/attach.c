// SPDX-License-Identifier: GPL-2.0-only
/* A cbw device over a volume: new, or inserted into a device in use. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "attach/attach.h"
#include "attach/in-place.h"
#include "attach/swap.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/dm-uuid.h"
#include "block/stacking.h"
#include "store/registry.h"

/* If the metadata lay on the volume, a write would wait for itself. */
static int check_meta(const struct volume *volume, const struct blockdev *meta)
{
	if (blockdev_is_above(meta->devt, volume->device.devt)) {
		error("%s is, or lies on, the volume %s itself; use another metadata device",
		      meta->path, volume->device.path);
		return EXIT_REFUSED;
	}
	return blockdev_check_unused(meta) ? EXIT_REFUSED :
					     store_check_size(volume, meta);
}

static int make_params(const struct volume *volume,
		       const struct attach_request *request,
		       const char *origin, struct trust *trust, char *params)
{
	struct cbw_table cbw = { .block_bytes = request->block_bytes };
	struct blockdev meta;

	snprintf(cbw.origin, sizeof(cbw.origin), "%s", origin);
	snprintf(cbw.meta, sizeof(cbw.meta), "-");
	if (request->meta) {
		if (blockdev_open(request->meta, &meta))
			return EXIT_ERROR;
		if (check_meta(volume, &meta))
			return EXIT_REFUSED;
		cbw.features.break_tracking = request->break_tracking;
		snprintf(cbw.meta, sizeof(cbw.meta), "%u:%u", major(meta.devt),
			 minor(meta.devt));
	}
	cbw_table_format(&cbw, params, CBW_PARAMS_BYTES);
	if (!request->meta)
		return EXIT_OK;
	snprintf(trust->meta, sizeof(trust->meta), "%s", meta.path);
	return trust_check(trust, volume);
}

static int check_kernel(void)
{
	if (dm_has_target(CBW_TARGET))
		return EXIT_OK;
	error("the kernel has no target cbw; load its module: modprobe dm-cbw");
	return EXIT_REFUSED;
}

static int check_not_ours(const struct volume *volume)
{
	struct cbw_table cbw;

	if (inner_is(volume)) {
		error("%s is the inner device of an attached volume and must not be used by itself",
		      volume->name);
		return EXIT_REFUSED;
	}
	if (volume->is_mapped && volume_is_cbw(volume, &cbw)) {
		error("%s is a cbw device already; to start again: dmlive detach %s",
		      volume->name, volume->name);
		return EXIT_REFUSED;
	}
	return in_place_check_none(volume);
}

static int check_name_is_free(const char *name)
{
	struct dm_device device;

	if (dm_get_device(name, &device) == -ENXIO)
		return EXIT_OK;
	error("a mapped device %s exists already; choose another name", name);
	return EXIT_REFUSED;
}

static int check_unused(const struct volume *volume)
{
	if (!blockdev_check_unused(&volume->device))
		return EXIT_OK;
	if (volume->is_mapped)
		error("a mapped device can be attached while it is in use, under its own name: dmlive attach %s",
		      volume->name);
	else
		error("only a mapped device, for example a logical volume, can be attached while it is in use");
	return EXIT_REFUSED;
}

/* The loaded table has the volume open, so nobody else can: check the store now. */
static int load_new(const struct volume *volume,
		    const struct attach_request *request, struct trust *trust,
		    const char *params)
{
	struct dm_device device;
	int r;

	r = dm_load(request->name, volume->device.bytes / 512, CBW_TARGET,
		    params, volume->device.read_only) ?:
	    dm_get_device(request->name, &device);
	return r ?: trust_settle(trust, NULL, volume->device.devt,
				 makedev(device.major, device.minor));
}

static int make_device(const struct volume *volume,
		       const struct attach_request *request,
		       struct trust *trust, const char *params)
{
	char uuid[DM_NAME_BYTES + sizeof(DM_UUID_PREFIX)];

	/* The name, cut to what fits into a UUID. */
	snprintf(uuid, sizeof(uuid), "%scbw-%.117s", DM_UUID_PREFIX,
		 request->name);
	if (dm_create_empty(request->name, uuid))
		return EXIT_ERROR;
	if (!load_new(volume, request, trust, params) &&
	    !dm_resume(request->name))
		return EXIT_OK;
	dm_remove(request->name);
	return EXIT_ERROR;
}

int attach_new(struct volume *volume, const struct attach_request *request,
	       struct trust *trust)
{
	char params[CBW_PARAMS_BYTES], number[32];
	int status;

	status = check_not_ours(volume);
	if (!status)
		status = check_name_is_free(request->name);
	if (!status)
		status = check_unused(volume);
	if (!status)
		status = check_kernel();
	if (!status)
		status = make_params(volume, request,
				     volume_number(volume, number), trust,
				     params);
	/* Another store of this volume would miss what is written to the new device. */
	if (!status)
		registry_void(&volume->device, request->meta);
	if (!status)
		status = make_device(volume, request, trust, params);
	return status;
}

static int check_mapped(const struct volume *volume)
{
	const struct dm_device *dm = &volume->dm;

	if (!volume->is_mapped) {
		error("%s is not a mapped device, so cbw cannot be inserted into it; while it is not in use, a new device can be made over it: --name NAME",
		      volume->device.path);
		return EXIT_REFUSED;
	}
	if (!volume->table.nr_lines) {
		error("%s has no table", volume->name);
		return EXIT_REFUSED;
	}
	if (dm->suspended) {
		error("%s is suspended; resume it first: dmsetup resume %s",
		      volume->name, volume->name);
		return EXIT_REFUSED;
	}
	if (dm_uuid_is_lv_part(dm->uuid)) {
		error("%s is an inner part of a logical volume, which only lvm2 may change; attach the logical volume",
		      volume->name);
		return EXIT_REFUSED;
	}
	return EXIT_OK;
}

struct insertion {
	struct trust *trust;
	dev_t volume, inner;
};

static int settle(const struct guard *guard, void *context)
{
	const struct insertion *insertion = context;

	return trust_settle(insertion->trust, guard, insertion->inner,
			    insertion->volume);
}

/* Steps 2 and 3 of attach.h. If they fail, the volume is as it was. */
static int insert(struct volume *volume, const struct attach_request *request,
		  struct trust *trust, const struct inner *inner,
		  enum movable how)
{
	struct insertion insertion = {
		.trust = trust,
		.volume = volume->device.devt,
		.inner = makedev(inner->dm.major, inner->dm.minor),
	};
	struct hand_over hand_over = {
		.how = how,
		.inserting = true,
		.volume = volume,
		.inner = inner,
		.table = &volume->table,
	};
	struct swap_steps steps = {
		.context = &insertion,
		.hand_over = how == MOVABLE_SHARED ? NULL : &hand_over,
	};
	struct dm_table_line line = {
		.nr_sectors = dm_table_sectors(&volume->table),
		.target = CBW_TARGET,
	};
	char params[CBW_PARAMS_BYTES], number[32];
	struct dm_table table = { .nr_lines = 1, .lines = &line };
	int status;

	snprintf(number, sizeof(number), "%u:%u", inner->dm.major,
		 inner->dm.minor);
	status = make_params(volume, request, number, trust, params);
	line.params = params;
	if (status)
		return status;
	steps.settle = trust->is_store ? settle : NULL;
	if (!movable_may_be_left(&volume->table))
		steps.remove_when_closed = inner->name;
	return swap_table(volume, &table, &steps);
}

static int check(const struct volume *volume, enum movable *how)
{
	int status = check_mapped(volume);

	if (!status)
		status = check_not_ours(volume);
	if (!status)
		status = movable_check(volume, how);
	return status ? status : check_kernel();
}

int attach_insert(struct volume *volume, const struct attach_request *request,
		  struct trust *trust, struct inner *inner)
{
	enum movable how;
	bool found;
	int status;

	movable_hide_keys(&volume->table);
	status = check(volume, &how);
	if (!status)
		status = inner_find(volume, inner);
	if (!status)
		status = inner_clean(volume, inner, &found);
	if (!status)
		status = inner_make(volume, how, inner);
	if (status)
		return status;
	status = insert(volume, request, trust, inner, how);
	if (status)
		dm_remove(inner->name);
	return status;
}
