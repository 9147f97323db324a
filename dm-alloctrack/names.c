// SPDX-License-Identifier: GPL-2.0-only
/*
 * Words of table lines, messages and the status.
 */
#include "alloctrack.h"
#include "names.h"
#include "dm-live-words.h"

static const char *const state_names[] = { ALLOCTRACK_STATES(DM_LIVE_WORD) };
static const char *const on_error_names[] = { ALLOCTRACK_ON_ERROR(DM_LIVE_WORD) };

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
