// SPDX-License-Identifier: GPL-2.0-only
/* The cbw device that the guest uses, over the device that is restored; see tracking.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "lines/cbw-table.h"
#include "base/exit.h"
#include "base/log.h"
#include "store/seal.h"
#include "restore/report.h"
#include "restore/tracking.h"

#define SECTOR_BYTES 512u

static int make_params(const struct server *server, char *params)
{
	struct cbw_table cbw = { 0 };
	struct dm_device inner;
	struct blockdev meta;
	int r = dm_get_device(server->name, &inner);

	if (r) {
		error_errno(r, "%s: cannot get its number", server->name);
		return EXIT_ERROR;
	}
	if (blockdev_open(server->options.track_meta, &meta))
		return EXIT_ERROR;
	snprintf(cbw.origin, sizeof(cbw.origin), "%u:%u", inner.major,
		 inner.minor);
	snprintf(cbw.meta, sizeof(cbw.meta), "%u:%u", major(meta.devt),
		 minor(meta.devt));
	return cbw_table_format(&cbw, params, CBW_PARAMS_BYTES) ? EXIT_ERROR :
								  EXIT_OK;
}

/* A killed process leaves a device without a table. */
int outer_clear_name(struct server *server)
{
	struct dm_device device;
	int r = dm_get_device(server->outer, &device);

	if (r == -ENXIO)
		return EXIT_OK;
	if (r) {
		error_errno(r, "%s: cannot get its state", server->outer);
		return EXIT_ERROR;
	}
	if (!device.has_table && *device.uuid &&
	    !strcmp(device.uuid, server->options.uuid))
		return dm_remove(server->outer) ? EXIT_ERROR : EXIT_OK;
	error("there is a mapped device %s already, which does not lie over %s; rename it: dmsetup rename",
	      server->outer, server->name);
	return EXIT_REFUSED;
}

/* All zeros if there is none. */
static int read_seal(const struct server *server, struct qcow2_seal *seal)
{
	struct meta_store store;

	if (meta_store_open(server->options.track_meta, &store))
		return EXIT_ERROR;
	meta_seal_read(&store, seal);
	meta_store_close(&store);
	return EXIT_OK;
}

/*
 * A store that was closed cleanly is trusted only over the device that it was closed
 * over. When that device is made again, the seal cannot be adapted as `dmlive attach`
 * does: the device's counts start at 0, the volume's include what was streamed, and a
 * device that cannot be detached yet has no digest.
 */
static void report_new_gap(const struct server *server, uint64_t last_gap_s)
{
	struct json_object *gap;
	struct qcow2_seal seal;

	if (read_seal(server, &seal) || seal.gap_to_s == last_gap_s)
		return;
	gap = meta_warn_of_gap(server->outer, &seal);
	if (gap)
		report_gap(json_object_to_json_string_ext(gap,
							  JSON_C_TO_STRING_PLAIN));
	json_object_put(gap);
}

int outer_make(struct server *server)
{
	char params[CBW_PARAMS_BYTES];
	struct qcow2_seal seal;
	int status = outer_clear_name(server);

	if (!status)
		status = make_params(server, params);
	if (!status)
		status = read_seal(server, &seal);
	if (status)
		return status;
	if (dm_create_empty(server->outer, server->options.uuid))
		return EXIT_ERROR;
	server->tracking.outer_made = true;
	if (dm_load(server->outer, server->device_bytes / SECTOR_BYTES,
		    CBW_TARGET, params, false) ||
	    dm_resume(server->outer))
		return EXIT_ERROR;
	report_new_gap(server, seal.gap_to_s);
	return EXIT_OK;
}

int outer_remove(struct server *server)
{
	int r;

	if (!server->tracking.outer_made)
		return 0;
	r = dm_remove(server->outer);
	if (r)
		error("%s could not be removed from above %s; to give the restore up: dmsetup remove %s %s",
		      server->outer, server->name, server->outer, server->name);
	return r;
}
