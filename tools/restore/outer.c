// SPDX-License-Identifier: GPL-2.0-only
/* The cbw device that the guest uses, over what is restored; see tracking.h. */
#include <errno.h>
#include <stdio.h>
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

/* Is there something of it already? One without a table is of no use to anybody. */
static int look(struct server *server, bool *exists)
{
	struct dm_device device;
	int r = dm_get_device(server->outer, &device);

	*exists = !r && device.has_table;
	if (r && r != -ENXIO) {
		error_errno(r, "%s: cannot be looked at", server->outer);
		return EXIT_ERROR;
	}
	if (!r && !device.has_table && dm_remove(server->outer))
		return EXIT_ERROR;
	return EXIT_OK;
}

int outer_make(struct server *server)
{
	char params[CBW_PARAMS_BYTES];
	bool exists;
	int status = look(server, &exists);

	if (status || exists)
		return status;
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
