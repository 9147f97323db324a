// SPDX-License-Identifier: GPL-2.0-only
/* The cbw device that the guest uses, over what is restored; see tracking.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "lib/cbw-table.h"
#include "lib/exit.h"
#include "lib/log.h"
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

/* An empty one is what a process has left that was killed. */
int outer_clear_name(struct server *server)
{
	struct dm_device device;
	int r = dm_get_device(server->outer, &device);

	if (r == -ENXIO)
		return EXIT_OK;
	if (r) {
		error_errno(r, "%s: cannot be looked at", server->outer);
		return EXIT_ERROR;
	}
	if (!device.has_table && *device.uuid &&
	    !strcmp(device.uuid, server->options.uuid))
		return dm_remove(server->outer) ? EXIT_ERROR : EXIT_OK;
	error("there is a mapped device %s already, which is not that over %s; rename it: dmsetup rename",
	      server->outer, server->name);
	return EXIT_REFUSED;
}

int outer_make(struct server *server)
{
	char params[CBW_PARAMS_BYTES];
	int status = outer_clear_name(server);

	if (!status)
		status = make_params(server, params);
	if (status)
		return status;
	if (dm_create_empty(server->outer, server->options.uuid))
		return EXIT_ERROR;
	server->tracking.outer_made = true;
	if (dm_load(server->outer, server->device_bytes / SECTOR_BYTES,
		    CBW_TARGET, params, false) ||
	    dm_resume(server->outer))
		return EXIT_ERROR;
	return EXIT_OK;
}

int outer_remove(struct server *server)
{
	int r;

	if (!server->tracking.outer_made)
		return 0;
	r = dm_remove(server->outer);
	if (r)
		error("%s is still there, over %s; to give it up: dmsetup remove %s %s",
		      server->outer, server->name, server->outer, server->name);
	return r;
}
