/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_MESSAGE_H
#define DM_CBW_MESSAGE_H

/* Messages of the target "cbw". */

struct dm_target;

int cbw_message(struct dm_target *ti, unsigned int argc, char **argv,
		char *result, unsigned int maxlen);

#endif /* DM_CBW_MESSAGE_H */
