// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive status`: what all kinds of devices have. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "cmd/status.h"

#define SECTOR_BYTES 512

int status_device_get(struct status_device *device, const char *name,
		      const char *target, void *report,
		      int (*parse)(void *report, const char *table,
				   const char *status))
{
	struct dm_line table = { 0 }, status = { 0 };
	int r;

	device->name = name;
	r = dm_get_line(name, DM_LINE_TABLE, &table, &device->dm);
	if (!r && strcmp(table.target, target))
		r = -ENOENT;
	if (!r)
		r = dm_get_line(name, DM_LINE_STATUS, &status, NULL);
	if (!r && parse(report, table.params, status.params)) {
		error("%s: cannot parse its table or status: '%s', '%s'", name,
		      table.params, status.params);
		r = -EPROTO;
	}
	device->bytes = table.nr_sectors * SECTOR_BYTES;
	dm_line_free(&table);
	dm_line_free(&status);
	return r;
}

void status_device_add(const struct status_device *device, const char *kind,
		       struct json_object *object)
{
	json_add_string(object, "name", device->name);
	json_add_string(object, "kind", kind);
	json_add_string(object, "device", dm_node_path(device->name));
	json_add_string(object, "uuid", device->dm.uuid);
	json_add_bool(object, "suspended", device->dm.suspended);
}
