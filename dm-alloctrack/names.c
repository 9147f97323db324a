// SPDX-License-Identifier: GPL-2.0-only
/*
 * Words of table lines, messages and the status.
 */
#include "alloctrack.h"
#include "names.h"

static const char *const state_names[] = {
	[DM_ALLOCTRACK_IDLE] = "idle",
	[DM_ALLOCTRACK_RUNNING] = "running",
	[DM_ALLOCTRACK_PAUSED] = "paused",
	[DM_ALLOCTRACK_STOPPED] = "stopped",
	[DM_ALLOCTRACK_FAILED] = "failed",
	[DM_ALLOCTRACK_CANCELLED] = "cancelled",
	[DM_ALLOCTRACK_COMPLETE] = "complete",
};

static const char *const on_error_names[] = {
	[DM_ALLOCTRACK_ON_ERROR_REPORT] = "report",
	[DM_ALLOCTRACK_ON_ERROR_IGNORE] = "ignore",
	[DM_ALLOCTRACK_ON_ERROR_STOP] = "stop",
	[DM_ALLOCTRACK_ON_ERROR_ENOSPC] = "enospc",
};

const char *at_stream_state_name(enum dm_alloctrack_state state)
{
	return state_names[state];
}

const char *at_on_error_name(enum dm_alloctrack_on_error on_error)
{
	return on_error_names[on_error];
}

int at_parse_on_error(const char *name, enum dm_alloctrack_on_error *on_error)
{
	int i = match_string(on_error_names, ARRAY_SIZE(on_error_names), name);

	if (i < 0)
		return -EINVAL;
	*on_error = i;
	return 0;
}
