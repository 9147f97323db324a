/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_NAMES_H
#define DM_ALLOCTRACK_NAMES_H

/* Words of table lines, messages and the status. */

#include <linux/dm-alloctrack.h>

const char *at_stream_state_name(enum dm_alloctrack_state state);
const char *at_on_error_name(enum dm_alloctrack_on_error on_error);
/** at_parse_on_error - 0, or -EINVAL when there is no such policy */
int at_parse_on_error(const char *name, enum dm_alloctrack_on_error *on_error);

#endif /* DM_ALLOCTRACK_NAMES_H */
