/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_SUBMIT_H
#define DM_ALLOCTRACK_SUBMIT_H

/* Bios of the guest on their way to the volume. */

#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/workqueue.h>

struct at_table;

/** at_remap - have device mapper send the bio to @dev */
static inline int at_remap(struct bio *bio, struct dm_dev *dev)
{
	bio_set_dev(bio, dev->bdev);
	return DM_MAPIO_REMAPPED;
}

/** at_remap_to_volume - a write to the volume */
int at_remap_to_volume(struct at_table *table, struct bio *bio);

/** at_overwrite - a write to allocated blocks of the volume */
int at_overwrite(struct at_table *table, struct bio *bio);

/** at_submit_to_volume - submit a guest bio to the volume, from a worker */
void at_submit_to_volume(struct at_table *table, struct bio *bio);

/** at_defer - make a worker submit a guest bio to the volume. Any context. */
void at_defer(struct at_table *table, struct bio *bio);

/** at_deferred_work - the worker that at_defer() queues */
void at_deferred_work(struct work_struct *work);

#endif /* DM_ALLOCTRACK_SUBMIT_H */
