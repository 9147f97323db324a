/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_MESSAGE_H
#define DM_ALLOCTRACK_MESSAGE_H

/* Messages of the target. */

#include <linux/device-mapper.h>

int at_message(struct dm_target *ti, unsigned int argc, char **argv,
	       char *result, unsigned int maxlen);

#endif /* DM_ALLOCTRACK_MESSAGE_H */
