// SPDX-License-Identifier: GPL-2.0-only
/* Asking a mapped device with the target cbw for its status, see cbw-status.h. */
#include <errno.h>
#include <string.h>

#include "lines/cbw-status.h"
#include "block/dm.h"

int cbw_status_get(const char *name, struct cbw_status *status,
		   struct dm_device *device)
{
	struct dm_line line;
	int r = dm_get_line(name, DM_LINE_STATUS, &line, device);

	if (r)
		return r;
	r = strcmp(line.target, CBW_TARGET) ? -EINVAL :
	    cbw_status_parse(line.params, status);
	dm_line_free(&line);
	return r;
}
