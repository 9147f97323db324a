// SPDX-License-Identifier: GPL-2.0-only
/*
 * The copier: buffers, batches of I/O, zero test, speed limit.
 *
 * Buffers come page by page from a mempool that holds one whole buffer of the largest
 * size. Two callers that each hold half of it would wait for ever, so only one at a
 * time may wait for pages. Each caller first tries without waiting. If that fails, it
 * gives back what it has, takes alloc_mutex and then waits for each page. The pages
 * that it waits for are in others' I/O in flight, and come back without further
 * memory.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "copier.h"

/* The burst that a speed limit allows after a pause. */
#define RATE_BURST_NS	(100 * NSEC_PER_MSEC)

/* Bios of zeros that are written at the same time. */
#define ZERO_BIOS_IN_FLIGHT	4

/* The most that one bio zeroes: fits into bi_size, and is a multiple of any block. */
#define MAX_ZERO_SECTORS	BIT(22)

struct dm_live_copier {
	unsigned int max_pages;
	mempool_t pages;
	mempool_t buffers;
	struct mutex alloc_mutex;	/* held to wait for pages */
	struct bio_set bios;
	struct page *zero_pages[BIO_MAX_VECS];
};

struct dm_live_copier *dm_live_copier_create(size_t max_bytes)
{
	unsigned int max_pages = DIV_ROUND_UP(max_bytes, PAGE_SIZE);
	struct dm_live_copier *copier;
	unsigned int i;
	int r;

	copier = kzalloc(sizeof(*copier), GFP_KERNEL);
	if (!copier)
		return ERR_PTR(-ENOMEM);
	copier->max_pages = max_pages;
	mutex_init(&copier->alloc_mutex);
	for (i = 0; i < BIO_MAX_VECS; i++)
		copier->zero_pages[i] = ZERO_PAGE(0);

	r = mempool_init_page_pool(&copier->pages, max_pages, 0);
	if (r)
		goto free_copier;
	r = mempool_init_kmalloc_pool(&copier->buffers, 1,
				      sizeof(struct dm_live_buffer) +
				      max_pages * sizeof(struct page *));
	if (r)
		goto exit_pages;
	r = bioset_init(&copier->bios, BIO_POOL_SIZE, 0, BIOSET_NEED_BVECS);
	if (r)
		goto exit_buffers;
	return copier;

exit_buffers:
	mempool_exit(&copier->buffers);
exit_pages:
	mempool_exit(&copier->pages);
free_copier:
	mutex_destroy(&copier->alloc_mutex);
	kfree(copier);
	return ERR_PTR(r);
}
EXPORT_SYMBOL_GPL(dm_live_copier_create);

void dm_live_copier_destroy(struct dm_live_copier *copier)
{
	if (!copier)
		return;
	bioset_exit(&copier->bios);
	mempool_exit(&copier->buffers);
	mempool_exit(&copier->pages);
	mutex_destroy(&copier->alloc_mutex);
	kfree(copier);
}
EXPORT_SYMBOL_GPL(dm_live_copier_destroy);

static void free_pages_of(struct dm_live_copier *copier,
			  struct dm_live_buffer *buffer)
{
	while (buffer->nr_pages)
		mempool_free(buffer->data.pages[--buffer->nr_pages],
			     &copier->pages);
}

static bool get_pages_of(struct dm_live_copier *copier,
			 struct dm_live_buffer *buffer, unsigned int nr_pages,
			 gfp_t gfp)
{
	while (buffer->nr_pages < nr_pages) {
		struct page *page = mempool_alloc(&copier->pages, gfp);

		if (!page)
			return false;
		buffer->data.pages[buffer->nr_pages++] = page;
	}
	return true;
}

struct dm_live_buffer *dm_live_buffer_get(struct dm_live_copier *copier,
					  size_t bytes)
{
	unsigned int nr_pages = DIV_ROUND_UP(bytes, PAGE_SIZE);
	struct dm_live_buffer *buffer;

	if (WARN_ON_ONCE(nr_pages > copier->max_pages))
		nr_pages = copier->max_pages;

	buffer = mempool_alloc(&copier->buffers, GFP_NOIO);
	buffer->data.pages = (struct page **)(buffer + 1);
	buffer->data.offset_bytes = 0;
	buffer->nr_pages = 0;

	if (get_pages_of(copier, buffer, nr_pages, GFP_NOWAIT | __GFP_NOWARN))
		return buffer;
	free_pages_of(copier, buffer);

	mutex_lock(&copier->alloc_mutex);
	get_pages_of(copier, buffer, nr_pages, GFP_NOIO);
	mutex_unlock(&copier->alloc_mutex);
	return buffer;
}
EXPORT_SYMBOL_GPL(dm_live_buffer_get);

void dm_live_buffer_put(struct dm_live_copier *copier,
			struct dm_live_buffer *buffer)
{
	free_pages_of(copier, buffer);
	mempool_free(buffer, &copier->buffers);
}
EXPORT_SYMBOL_GPL(dm_live_buffer_put);

/* The page of byte @from, where in it that byte is, and how much follows. */
static struct page *locate(const struct dm_live_data *data, size_t from,
			   size_t bytes, size_t *in_page, size_t *chunk)
{
	size_t position = data->offset_bytes + from;

	*in_page = offset_in_page(position);
	*chunk = min_t(size_t, bytes, PAGE_SIZE - *in_page);
	return data->pages[position >> PAGE_SHIFT];
}

void dm_live_data_zero(const struct dm_live_data *data, size_t from,
		       size_t bytes)
{
	while (bytes) {
		size_t in_page, chunk;
		struct page *page = locate(data, from, bytes, &in_page, &chunk);

		memzero_page(page, in_page, chunk);
		from += chunk;
		bytes -= chunk;
	}
}
EXPORT_SYMBOL_GPL(dm_live_data_zero);

bool dm_live_data_is_zero(const struct dm_live_data *data, size_t from,
			  size_t bytes)
{
	while (bytes) {
		size_t in_page, chunk;
		struct page *page = locate(data, from, bytes, &in_page, &chunk);
		char *address = kmap_local_page(page);
		bool zero = !memchr_inv(address + in_page, 0, chunk);

		kunmap_local(address);
		if (!zero)
			return false;
		from += chunk;
		bytes -= chunk;
	}
	return true;
}
EXPORT_SYMBOL_GPL(dm_live_data_is_zero);

static void data_to_bvec(struct bio_vec *bvec, const struct dm_live_data *data,
			 size_t from)
{
	size_t done = 0;

	while (done < bvec->bv_len) {
		size_t in_page, chunk;
		struct page *page = locate(data, from + done,
					   bvec->bv_len - done, &in_page,
					   &chunk);

		memcpy_page(bvec->bv_page, bvec->bv_offset + done, page,
			    in_page, chunk);
		done += chunk;
	}
	flush_dcache_page(bvec->bv_page);
}

void dm_live_data_to_bio(struct bio *bio, size_t bio_from,
			 const struct dm_live_data *data, size_t from,
			 size_t bytes)
{
	struct bvec_iter iter = bio->bi_iter;

	bio_advance_iter(bio, &iter, bio_from);
	iter.bi_size = bytes;
	while (iter.bi_size) {
		struct bio_vec bvec = bio_iter_iovec(bio, iter);

		if (data)
			data_to_bvec(&bvec, data, from);
		else
			memzero_bvec(&bvec);
		from += bvec.bv_len;
		bio_advance_iter_single(bio, &iter, bvec.bv_len);
	}
}
EXPORT_SYMBOL_GPL(dm_live_data_to_bio);

void dm_live_batch_begin(struct dm_live_batch *batch,
			 struct dm_live_copier *copier)
{
	batch->copier = copier;
	batch->status = 0;
	atomic_set(&batch->pending, 1);	/* dropped by dm_live_batch_wait() */
	init_completion(&batch->done);
}
EXPORT_SYMBOL_GPL(dm_live_batch_begin);

static void drop(struct dm_live_batch *batch)
{
	if (atomic_dec_and_test(&batch->pending))
		complete(&batch->done);
}

static void batch_endio(struct bio *bio)
{
	struct dm_live_batch *batch = bio->bi_private;

	if (bio->bi_status)
		cmpxchg(&batch->status, 0, (__force int)bio->bi_status);
	bio_put(bio);
	drop(batch);
}

static struct bio *new_bio(struct dm_live_batch *batch,
			   struct block_device *bdev, sector_t sector,
			   unsigned short nr_vecs, blk_opf_t opf)
{
	struct bio *bio = bio_alloc_bioset(bdev, nr_vecs, opf, GFP_NOIO,
					   &batch->copier->bios);

	bio->bi_iter.bi_sector = sector;
	bio->bi_private = batch;
	bio->bi_end_io = batch_endio;
	atomic_inc(&batch->pending);
	return bio;
}

void dm_live_batch_rw(struct dm_live_batch *batch, blk_opf_t opf,
		      struct block_device *bdev, sector_t sector,
		      const struct dm_live_data *data, size_t from,
		      size_t bytes)
{
	while (bytes) {
		size_t in_page, chunk;
		struct bio *bio;

		/* One more than the whole pages: the data need not be aligned. */
		bio = new_bio(batch, bdev, sector,
			      bio_max_segs((bytes >> PAGE_SHIFT) + 2), opf);
		while (bytes) {
			struct page *page = locate(data, from, bytes, &in_page,
						   &chunk);

			if (bio_add_page(bio, page, chunk, in_page) != chunk)
				break;
			from += chunk;
			bytes -= chunk;
			sector += chunk >> SECTOR_SHIFT;
		}
		submit_bio(bio);
	}
}
EXPORT_SYMBOL_GPL(dm_live_batch_rw);

void dm_live_batch_zero(struct dm_live_batch *batch, struct block_device *bdev,
			sector_t sector, sector_t nr_sectors, blk_opf_t flags)
{
	while (nr_sectors) {
		sector_t chunk = min_t(sector_t, nr_sectors, MAX_ZERO_SECTORS);
		struct bio *bio = new_bio(batch, bdev, sector, 0,
					  REQ_OP_WRITE_ZEROES | flags);

		bio->bi_iter.bi_size = chunk << SECTOR_SHIFT;
		submit_bio(bio);
		sector += chunk;
		nr_sectors -= chunk;
	}
}
EXPORT_SYMBOL_GPL(dm_live_batch_zero);

blk_status_t dm_live_batch_wait(struct dm_live_batch *batch)
{
	drop(batch);
	wait_for_completion_io(&batch->done);
	return (__force blk_status_t)READ_ONCE(batch->status);
}
EXPORT_SYMBOL_GPL(dm_live_batch_wait);

static blk_status_t write_zero_pages(struct dm_live_copier *copier,
				     struct block_device *bdev,
				     sector_t sector, sector_t nr_sectors)
{
	const struct dm_live_data zeros = { .pages = copier->zero_pages };
	const sector_t max_sectors = BIO_MAX_VECS << PAGE_SECTORS_SHIFT;
	blk_status_t status = BLK_STS_OK;
	struct dm_live_batch batch;
	unsigned int i;

	while (nr_sectors && !status) {
		dm_live_batch_begin(&batch, copier);
		for (i = 0; i < ZERO_BIOS_IN_FLIGHT && nr_sectors; i++) {
			sector_t chunk = min(nr_sectors, max_sectors);

			dm_live_batch_rw(&batch, REQ_OP_WRITE, bdev, sector,
					 &zeros, 0, chunk << SECTOR_SHIFT);
			sector += chunk;
			nr_sectors -= chunk;
		}
		status = dm_live_batch_wait(&batch);
	}
	return status;
}

blk_status_t dm_live_zero_range(struct dm_live_copier *copier,
				struct block_device *bdev, sector_t sector,
				sector_t nr_sectors, blk_opf_t flags)
{
	struct dm_live_batch batch;

	if (bdev_write_zeroes_sectors(bdev)) {
		dm_live_batch_begin(&batch, copier);
		dm_live_batch_zero(&batch, bdev, sector, nr_sectors, flags);
		if (!dm_live_batch_wait(&batch))
			return BLK_STS_OK;
		/* Some devices find out only now that they cannot do it. */
	}
	return write_zero_pages(copier, bdev, sector, nr_sectors);
}
EXPORT_SYMBOL_GPL(dm_live_zero_range);

void dm_live_rate_init(struct dm_live_rate *rate)
{
	spin_lock_init(&rate->lock);
	rate->bytes_per_second = 0;
	rate->next_ns = 0;
}
EXPORT_SYMBOL_GPL(dm_live_rate_init);

void dm_live_rate_set(struct dm_live_rate *rate, u64 bytes_per_second)
{
	unsigned long flags;

	spin_lock_irqsave(&rate->lock, flags);
	WRITE_ONCE(rate->bytes_per_second, bytes_per_second);
	rate->next_ns = 0;
	spin_unlock_irqrestore(&rate->lock, flags);
}
EXPORT_SYMBOL_GPL(dm_live_rate_set);

u64 dm_live_rate_get(const struct dm_live_rate *rate)
{
	return READ_ONCE(rate->bytes_per_second);
}
EXPORT_SYMBOL_GPL(dm_live_rate_get);

/* How long @bytes take at the limit; 0 without one. */
static u64 duration_ns(const struct dm_live_rate *rate, u64 bytes)
{
	lockdep_assert_held(&rate->lock);
	if (!rate->bytes_per_second)
		return 0;
	return div64_u64(bytes * NSEC_PER_SEC, rate->bytes_per_second);
}

unsigned long dm_live_rate_take(struct dm_live_rate *rate, u64 bytes)
{
	unsigned long wait_jiffies = 0;
	unsigned long flags;
	u64 now_ns;

	if (!dm_live_rate_get(rate))
		return 0;

	spin_lock_irqsave(&rate->lock, flags);
	now_ns = ktime_get_ns();
	if (rate->next_ns > now_ns) {
		wait_jiffies = nsecs_to_jiffies(rate->next_ns - now_ns) + 1;
	} else {
		/* A short pause may be caught up on, a long one not. */
		if (rate->next_ns + RATE_BURST_NS < now_ns)
			rate->next_ns = now_ns;
		rate->next_ns += duration_ns(rate, bytes);
	}
	spin_unlock_irqrestore(&rate->lock, flags);
	return wait_jiffies;
}
EXPORT_SYMBOL_GPL(dm_live_rate_take);

void dm_live_rate_give_back(struct dm_live_rate *rate, u64 bytes)
{
	unsigned long flags;

	if (!dm_live_rate_get(rate))
		return;

	spin_lock_irqsave(&rate->lock, flags);
	/* A new limit may have been set meanwhile, which begins at zero. */
	rate->next_ns -= min(rate->next_ns, duration_ns(rate, bytes));
	spin_unlock_irqrestore(&rate->lock, flags);
}
EXPORT_SYMBOL_GPL(dm_live_rate_give_back);
