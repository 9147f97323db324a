// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bits of a bitmap store: where they are on the metadata device, and reading them
 * into memory.
 *
 * A mapped device in use is suspended meanwhile, so reading must be fast. It bypasses
 * dm-bufio, which would send a request for each buffer: it reads a stage full at a
 * time, in as few requests as the placement of the clusters allows, all of them at
 * once. Not while the store is active: then dm-bufio may hold data that are not
 * written yet.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/highmem.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "store-internal.h"

#define DM_MSG_PREFIX "live"

u64 dm_live_store_locate(const struct dm_live_store *store,
			 const struct dm_live_store_bitmap *bitmap, u64 offset)
{
	u64 cluster = offset >> store->header.cluster_bits;
	u64 base;

	if (cluster >= bitmap->entry.table_entries)
		return 0;
	base = bitmap->clusters[cluster] & QCOW2_BITMAP_TABLE_OFFSET_MASK;
	if (!base)
		return 0;
	return base + (offset & ((1ULL << store->header.cluster_bits) - 1));
}

/* A chain of bios; all but the last are under way. */
struct reads {
	struct bio *last;
	u64 first_byte;
};

static void add_bio(struct reads *reads, struct dm_live_store *store, u64 at)
{
	struct bio *bio = bio_alloc(store->params.meta, BIO_MAX_VECS,
				    REQ_OP_READ | REQ_META, GFP_NOIO);

	bio->bi_iter.bi_sector = at >> SECTOR_SHIFT;
	if (reads->last) {
		bio_chain(reads->last, bio);
		submit_bio(reads->last);
	} else {
		reads->first_byte = at;
	}
	reads->last = bio;
}

/* Add a read of @bytes at @at of the device to @to, which is in the stage. */
static void add_read(struct reads *reads, struct dm_live_store *store, u64 at,
		     void *to, u64 bytes)
{
	add_bio(reads, store, at);
	while (bytes) {
		unsigned int chunk = min_t(u64, bytes,
					   PAGE_SIZE - offset_in_page(to));

		if (bio_add_page(reads->last, vmalloc_to_page(to), chunk,
				 offset_in_page(to)) != chunk) {
			add_bio(reads, store, at);
			continue;
		}
		at += chunk;
		to += chunk;
		bytes -= chunk;
	}
}

static int wait_for_reads(struct reads *reads, struct dm_live_store *store)
{
	int r;

	if (!reads->last)
		return 0;
	r = submit_bio_wait(reads->last);
	bio_put(reads->last);
	if (r) {
		DMERR("%s: metadata device: read error %d at byte %llu or after it",
		      store->params.name, r, reads->first_byte);
		WRITE_ONCE(store->failed, true);
		return r;
	}
	invalidate_kernel_vmap_range(store->stage, DM_LIVE_STORE_STAGE_BYTES);
	return 0;
}

int dm_live_store_read_to_stage(struct dm_live_store *store, u64 offset,
				u64 bytes)
{
	struct reads reads = { };

	add_read(&reads, store, offset, store->stage, bytes);
	return wait_for_reads(&reads, store);
}

/* How many of @bytes from @offset of the bits, which are at @at, are contiguous. */
static u64 bytes_in_run(const struct dm_live_store *store,
			const struct dm_live_store_bitmap *bitmap, u64 offset,
			u64 at, u64 bytes)
{
	const u64 cluster_bytes = 1ULL << store->header.cluster_bits;
	u64 run = cluster_bytes - (offset & (cluster_bytes - 1));

	while (run < bytes &&
	       dm_live_store_locate(store, bitmap, offset + run) ==
	       (at ? at + run : 0))
		run += cluster_bytes;
	return min(run, bytes);
}

/* The value of the bits at byte @offset, which have no cluster. */
static int value_without_cluster(const struct dm_live_store *store,
				 const struct dm_live_store_bitmap *bitmap,
				 u64 offset)
{
	u64 cluster = offset >> store->header.cluster_bits;

	return cluster < bitmap->entry.table_entries &&
	       (bitmap->clusters[cluster] & QCOW2_BITMAP_TABLE_ALL_ONES) ?
	       0xff : 0;
}

/* The bits from byte @offset on, from disk or as their table entries say. */
static int read_to_stage(struct dm_live_store *store,
			 const struct dm_live_store_bitmap *bitmap, u64 offset,
			 u64 bytes)
{
	const u64 cluster_bytes = 1ULL << store->header.cluster_bits;
	void *to = store->stage;
	struct reads reads = { };

	while (bytes) {
		u64 at = dm_live_store_locate(store, bitmap, offset);
		u64 run = at ? bytes : cluster_bytes -
				       (offset & (cluster_bytes - 1));

		run = min(run, bytes);
		if (at) {
			run = bytes_in_run(store, bitmap, offset, at, run);
			add_read(&reads, store, at, to, run);
		} else {
			memset(to, value_without_cluster(store, bitmap, offset),
			       run);
		}
		offset += run;
		to += run;
		bytes -= run;
	}
	return wait_for_reads(&reads, store);
}

/* Is there a bit on disk that memory does not have? Not past the bitmap's end. */
static bool has_more(const struct dm_live_store *store,
		     const struct dm_live_store_bitmap *bitmap, u64 page,
		     const u8 *on_disk, const u8 *in_memory)
{
	u64 nr_bits = ((store->header.size_bytes - 1) >>
		       bitmap->entry.granularity_bits) + 1;
	u64 first_bit = page * DM_LIVE_BITMAP_PAGE_BYTES * 8;
	u64 left = nr_bits - first_bit;
	unsigned int i;

	for (i = 0; i < DM_LIVE_BITMAP_PAGE_BYTES && i * 8ULL < left; i++) {
		u8 more = on_disk[i] & ~in_memory[i];

		if (left - i * 8ULL < 8)
			more &= (1U << (left - i * 8ULL)) - 1;
		if (more)
			return true;
	}
	return false;
}

/* The bits are those that were read; whether they are durable is not known. */
static void mark_in_doubt(struct dm_live_store_bitmap *bitmap, u64 page)
{
	if (bitmap->as_read)
		dm_live_bitmap_set_range(bitmap->as_read, page, 1);
	else
		dm_live_bitmap_mark_dirty(bitmap->bitmap, page);
}

/* A page was read. @in_memory: buffer for a copy of the bits in memory. */
static int take_page(struct dm_live_store *store,
		     struct dm_live_store_bitmap *bitmap, u64 page,
		     const void *on_disk, void *in_memory,
		     enum dm_live_attach how)
{
	bool in_doubt = !store->params.read_only &&
			bitmap->entry.flags & QCOW2_BITMAP_IN_USE;
	bool differ;

	if (how == DM_LIVE_ATTACH_LOAD) {
		dm_live_bitmap_load_page(bitmap->bitmap, page, on_disk);
		if (in_doubt)
			mark_in_doubt(bitmap, page);
		return 0;
	}
	dm_live_bitmap_stage_page(bitmap->bitmap, page, in_memory);
	if (how == DM_LIVE_ATTACH_KEEP &&
	    has_more(store, bitmap, page, on_disk, in_memory)) {
		DMERR("%s: metadata device: bitmap '%.*s' was changed by something else since it was closed: remove the mapped device and create it again to use it as it is now",
		      store->params.name, bitmap->entry.name_bytes,
		      bitmap->entry.name);
		return -ESTALE;
	}
	differ = memcmp(on_disk, in_memory, DM_LIVE_BITMAP_PAGE_BYTES);
	if (differ && !store->params.read_only)
		dm_live_bitmap_mark_dirty(bitmap->bitmap, page);
	else if (in_doubt)
		mark_in_doubt(bitmap, page);
	return 0;
}

static int read_pages(struct dm_live_store *store,
		      struct dm_live_store_bitmap *bitmap, void *in_memory,
		      enum dm_live_attach how)
{
	u64 nr_pages = dm_live_bitmap_nr_pages(bitmap->bitmap);
	u64 page = 0, i, nr;
	int r;

	for (; page < nr_pages; page += nr) {
		nr = min_t(u64, nr_pages - page, DM_LIVE_STORE_STAGE_PAGES);
		r = read_to_stage(store, bitmap,
				  page * DM_LIVE_BITMAP_PAGE_BYTES,
				  nr * DM_LIVE_BITMAP_PAGE_BYTES);
		for (i = 0; !r && i < nr; i++)
			r = take_page(store, bitmap, page + i, store->stage +
				      i * DM_LIVE_BITMAP_PAGE_BYTES,
				      in_memory, how);
		if (r)
			return r;
		cond_resched();
	}
	return 0;
}

int dm_live_store_read_bits(struct dm_live_store *store,
			    struct dm_live_store_bitmap *bitmap,
			    enum dm_live_attach how)
{
	void *in_memory = kmalloc(DM_LIVE_BITMAP_PAGE_BYTES, GFP_KERNEL);
	int r;

	if (!in_memory)
		return -ENOMEM;
	/* Without memory for it, the pages count as changed, which costs flushes. */
	if (store->params.data && !store->params.read_only &&
	    bitmap->entry.flags & QCOW2_BITMAP_IN_USE && !bitmap->as_read)
		bitmap->as_read =
			dm_live_bitmap_create(dm_live_bitmap_nr_pages(bitmap->bitmap));
	r = read_pages(store, bitmap, in_memory, how);
	kfree(in_memory);
	return r;
}
