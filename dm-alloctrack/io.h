/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_IO_H
#define DM_ALLOCTRACK_IO_H

/* The map path: where each bio of the guest goes. */

#include <linux/blk_types.h>

struct dm_target;

int at_map(struct dm_target *ti, struct bio *bio);
int at_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error);

#endif /* DM_ALLOCTRACK_IO_H */
