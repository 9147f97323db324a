/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_IO_H
#define DM_CBW_IO_H

/* The guest's I/O. */

#include <linux/blk_types.h>

struct cbw_session;
struct cbw_table;
struct dm_target;

int cbw_map(struct dm_target *ti, struct bio *bio);
int cbw_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error);

/** cbw_map_again - map a write that change tracking had parked. Does not sleep. */
void cbw_map_again(struct cbw_table *table, struct bio *bio);
void cbw_io_init(struct cbw_session *session);

#endif /* DM_CBW_IO_H */
