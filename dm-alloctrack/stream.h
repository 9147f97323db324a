/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_STREAM_H
#define DM_ALLOCTRACK_STREAM_H

/* The stream job. */

#include "alloctrack.h"
#include "blocks.h"

/* Streaming has made @changed of the @nr blocks from @first allocated. */
static inline void at_count_streamed(struct at_device *device, u64 first,
				     u64 nr, u64 changed)
{
	sector_t nr_sectors = changed == nr ?
			      at_range_sectors(device, first, nr) :
			      changed * at_block_sectors(device);

	atomic64_add((u64)nr_sectors << SECTOR_SHIFT, &device->streamed_bytes);
}

void at_stream_init(struct at_device *device);
void at_stream_init_workers(struct at_table *table);

/** at_stream_kick - make the workers look for work. Any context. */
void at_stream_kick(struct at_table *table);

/** at_stream_stop_workers - wait until no worker runs */
void at_stream_stop_workers(struct at_table *table);

/** at_stream_message - start, pause, resume or cancel. 0 or a negative errno. */
int at_stream_message(struct at_table *table, const char *verb);

void at_stream_set_speed(struct at_device *device, u64 bytes_per_second);
void at_stream_set_on_error(struct at_device *device,
			    enum dm_alloctrack_on_error on_error);

/**
 * at_stream_error - count an error of the job and apply the on_error policy
 * @first: first block that was not streamed
 * @status: the error
 * @is_read: of the backing, otherwise of the volume
 */
void at_stream_error(struct at_table *table, u64 first, blk_status_t status,
		     bool is_read);

/** at_stream_complete - all data are on the volume, and durable */
void at_stream_complete(struct at_table *table);

/** at_stream_not_complete - all data are on the volume, but the flush failed */
void at_stream_not_complete(struct at_table *table, blk_status_t status);

/** at_stream_lost_writes - copies are in doubt: the job fails or stops */
void at_stream_lost_writes(struct at_table *table);

/** at_stream_rewind - blocks became unallocated again. No worker may run. */
void at_stream_rewind(struct at_device *device);

#endif /* DM_ALLOCTRACK_STREAM_H */
