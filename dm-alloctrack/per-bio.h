/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_PER_BIO_H
#define DM_ALLOCTRACK_PER_BIO_H

/* What the target keeps in each bio of the guest. */

#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/workqueue.h>

#include "alloctrack.h"
#include "blocks.h"
#include "dm-live/core/range-lock.h"
#include "dm-live/store.h"

/* Maximum number of blocks of a waiting read: one bit each in at_fault.want. */
#define AT_FAULT_BLOCKS		64

/**
 * struct at_fault - guest I/O that waits for blocks from a user server
 *
 * All members are protected by at_faults.lock. A read records the blocks that it
 * still wants, and is completed from arriving data. A write waits until its one,
 * partly covered block is allocated, and is then sent to the volume. @users counts
 * those that are copying into the bio at the moment, without the lock.
 */
struct at_fault {
	struct rb_node rb;
	u64 first;
	u64 last;
	u64 subtree_last;
	struct list_head link;
	unsigned long queued_jiffies;
	u64 want;
	unsigned int users;
	blk_status_t status;
};

enum at_io_kind {
	AT_IO_PLAIN,	/* nothing to do at its end */
	AT_IO_FLUSH,	/* of the volume; first: at_flush_mark() */
	AT_IO_WRITE,	/* of whole blocks; holds their range lock */
};

struct at_io {
	struct at_table *table;
	enum at_io_kind kind;
	bool fua;	/* commit before it is reported */
	bool flushes;	/* if it fails, a flush of the volume may have failed */
	u64 flushed;	/* with flushes: at_durable_mark() */
	u64 first;
	u64 nr;
	union {
		struct dm_live_range range;	/* AT_IO_WRITE */
		struct at_fault fault;		/* waiting for the server */
		struct work_struct work;	/* waiting for a worker */
		struct dm_live_commit commit;	/* waiting for a commit */
	};
};

static inline struct at_io *at_io_of(struct bio *bio)
{
	return dm_per_bio_data(bio, sizeof(struct at_io));
}

static inline struct bio *at_bio_of(struct at_io *io)
{
	return dm_bio_from_per_bio_data(io, sizeof(struct at_io));
}

/* The blocks that a bio touches: [first, end). */
static inline u64 at_first_block(const struct at_table *table,
				 const struct bio *bio)
{
	return at_sector_to_block(table->device, bio->bi_iter.bi_sector);
}

static inline u64 at_end_block(const struct at_table *table,
			       const struct bio *bio)
{
	return at_sector_to_block(table->device, bio_end_sector(bio) - 1) + 1;
}

#endif /* DM_ALLOCTRACK_PER_BIO_H */
