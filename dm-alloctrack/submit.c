// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest bios on their way to the volume: at once from the map function, or later from a
 * worker.
 */
#include <linux/blkdev.h>

#include "alloctrack.h"
#include "blocks.h"
#include "lost-writes.h"
#include "per-bio.h"
#include "submit.h"
#include "dm-live/submit.h"

int at_remap_to_volume(struct at_table *table, struct bio *bio)
{
	struct block_device *volume = table->volume->bdev;

	/* If the volume lacks FUA, the block layer adds a flush. */
	at_io_of(bio)->flushes = (bio->bi_opf & REQ_FUA) && !bdev_fua(volume);
	if (at_io_of(bio)->flushes)
		at_io_of(bio)->flushed = at_durable_mark(table->device);
	return at_remap(bio, table->volume);
}

int at_overwrite(struct at_table *table, struct bio *bio)
{
	at_guest_owns(table->device, at_first_block(table, bio),
		      at_end_block(table, bio));
	return at_remap_to_volume(table, bio);
}

void at_defer(struct at_table *table, struct bio *bio)
{
	unsigned long flags;

	/*
	 * Queue the work under the lock: once the bio has ended, the table and its
	 * workqueue may be destroyed.
	 */
	spin_lock_irqsave(&table->deferred_lock, flags);
	bio_list_add(&table->deferred, bio);
	queue_work(table->submit_wq, &table->deferred_work);
	spin_unlock_irqrestore(&table->deferred_lock, flags);
}

void at_submit_to_volume(struct at_table *table, struct bio *bio)
{
	at_overwrite(table, bio);
	dm_live_submit_deferred(bio);
}

void at_deferred_work(struct work_struct *work)
{
	struct at_table *table = container_of(work, struct at_table,
					      deferred_work);
	struct blk_plug plug;
	struct bio_list bios;
	struct bio *bio;

	spin_lock_irq(&table->deferred_lock);
	bios = table->deferred;
	bio_list_init(&table->deferred);
	spin_unlock_irq(&table->deferred_lock);

	blk_start_plug(&plug);
	while ((bio = bio_list_pop(&bios)))
		at_submit_to_volume(table, bio);
	blk_finish_plug(&plug);
}
