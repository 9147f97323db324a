/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_COPIER_H
#define DM_LIVE_COPIER_H

/*
 * The engine that moves data: mempool-backed buffers, whose allocation never fails,
 * batches of reads and writes that are in flight together, a test for zeros, and a
 * speed limit.
 *
 * The functions that do I/O wait for it: callers run in worker threads, one for each
 * request that is to be in flight. A caller knows which side failed, since it asks
 * for one side at a time.
 */

#include <linux/blk_types.h>
#include <linux/completion.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct block_device;
struct dm_live_copier;

/**
 * struct dm_live_data - bytes in pages, owned by their creator
 * @pages: the pages
 * @offset_bytes: where in @pages the first byte is
 */
struct dm_live_data {
	struct page **pages;
	size_t offset_bytes;
};

/**
 * struct dm_live_buffer - pages from a copier
 * @data: the bytes; @data.offset_bytes is 0
 * @nr_pages: number of pages
 */
struct dm_live_buffer {
	struct dm_live_data data;
	unsigned int nr_pages;
};

/**
 * dm_live_copier_create - make a copier
 * @max_bytes: the largest buffer that will be asked for
 *
 * Memory for one buffer of @max_bytes is set aside.
 *
 * Context: may sleep, GFP_KERNEL.
 * Return: the copier, or an ERR_PTR.
 */
struct dm_live_copier *dm_live_copier_create(size_t max_bytes);

/** dm_live_copier_destroy - free it; no buffer or I/O may be out. NULL is ignored. */
void dm_live_copier_destroy(struct dm_live_copier *copier);

/**
 * dm_live_buffer_get - get a buffer of at least @bytes
 *
 * Always succeeds, if need be after waiting for other buffers to come back. A
 * caller holds at most one buffer, and no lock that the holder of another
 * buffer could wait for.
 *
 * Context: may sleep, GFP_NOIO.
 */
struct dm_live_buffer *dm_live_buffer_get(struct dm_live_copier *copier,
					  size_t bytes);

/** dm_live_buffer_put - give a buffer back; any context that may sleep */
void dm_live_buffer_put(struct dm_live_copier *copier,
			struct dm_live_buffer *buffer);

/** dm_live_data_zero - set @bytes from @from to zero */
void dm_live_data_zero(const struct dm_live_data *data, size_t from,
		       size_t bytes);

/** dm_live_data_is_zero - are @bytes from @from all zero? */
bool dm_live_data_is_zero(const struct dm_live_data *data, size_t from,
			  size_t bytes);

/**
 * dm_live_data_to_bio - copy data to the pages of a read
 * @bio: the read
 * @bio_from: first byte of the bio's data to set
 * @data: the source, or NULL for zeros
 * @from: first byte of the source
 * @bytes: how much
 */
void dm_live_data_to_bio(struct bio *bio, size_t bio_from,
			 const struct dm_live_data *data, size_t from,
			 size_t bytes);

/**
 * struct dm_live_batch - requests in flight together
 *
 * On the stack of the caller. begin, any number of submits, wait.
 */
struct dm_live_batch {
	struct dm_live_copier *copier;
	atomic_t pending;
	int status;
	struct completion done;
};

void dm_live_batch_begin(struct dm_live_batch *batch,
			 struct dm_live_copier *copier);

/**
 * dm_live_batch_rw - submit a read or a write
 * @opf: REQ_OP_READ or REQ_OP_WRITE, and flags
 * @bdev: device
 * @sector: where on it
 * @data: the pages
 * @from: first byte of @data
 * @bytes: how much, a multiple of the logical block size
 *
 * Context: may sleep, GFP_NOIO.
 */
void dm_live_batch_rw(struct dm_live_batch *batch, blk_opf_t opf,
		      struct block_device *bdev, sector_t sector,
		      const struct dm_live_data *data, size_t from,
		      size_t bytes);

/**
 * dm_live_batch_zero - submit REQ_OP_WRITE_ZEROES
 * @flags: 0 or REQ_NOUNMAP
 *
 * Only for a device that says that it can. It may fail with BLK_STS_NOTSUPP all
 * the same; then write zeros.
 */
void dm_live_batch_zero(struct dm_live_batch *batch, struct block_device *bdev,
			sector_t sector, sector_t nr_sectors, blk_opf_t flags);

/**
 * dm_live_batch_wait - wait for all of it
 * Return: the status of the first request that failed, or BLK_STS_OK.
 */
blk_status_t dm_live_batch_wait(struct dm_live_batch *batch);

/**
 * dm_live_zero_range - make a range zero, and wait
 * @flags: 0 or REQ_NOUNMAP
 *
 * By REQ_OP_WRITE_ZEROES, or by writing zeros where the device cannot do that.
 * Takes all memory from the copier: safe on the path of writeback.
 *
 * Context: may sleep, GFP_NOIO.
 */
blk_status_t dm_live_zero_range(struct dm_live_copier *copier,
				struct block_device *bdev, sector_t sector,
				sector_t nr_sectors, blk_opf_t flags);

/**
 * struct dm_live_rate - a speed limit
 *
 * Zeroed memory and spin_lock_init() make one without a limit.
 */
struct dm_live_rate {
	spinlock_t lock;	/* protects the members */
	u64 bytes_per_second;	/* 0: no limit */
	u64 next_ns;
};

void dm_live_rate_init(struct dm_live_rate *rate);

/** dm_live_rate_set - set the limit in bytes/s, 0 for none. Any context. */
void dm_live_rate_set(struct dm_live_rate *rate, u64 bytes_per_second);

u64 dm_live_rate_get(const struct dm_live_rate *rate);

/**
 * dm_live_rate_take - may @bytes be moved now?
 * @bytes: at most 1 GiB
 *
 * If so, they are charged at once: of many that ask at the same time, only as many
 * get permission as the limit allows.
 *
 * Context: any. Return: 0, or the number of jiffies after which to ask again.
 */
unsigned long dm_live_rate_take(struct dm_live_rate *rate, u64 bytes);

/**
 * dm_live_rate_give_back - @bytes of what was taken last are not moved after all
 * Context: any.
 */
void dm_live_rate_give_back(struct dm_live_rate *rate, u64 bytes);

#endif /* DM_LIVE_COPIER_H */
