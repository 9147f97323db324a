/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_SUBMIT_H
#define DM_ALLOCTRACK_SUBMIT_H

/* Bios of the guest on their way to the file. */

#include <linux/workqueue.h>

struct at_table;
struct bio;

void at_deferred_work(struct work_struct *work);

/** at_submit_to_file - send a bio of the guest to the file, from a worker */
void at_submit_to_file(struct at_table *table, struct bio *bio);

/** at_defer - have a worker send a bio to the file. Any context. */
void at_defer(struct at_table *table, struct bio *bio);

#endif /* DM_ALLOCTRACK_SUBMIT_H */
