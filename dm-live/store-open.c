// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening a bitmap store: everything is read through the checks of the codec,
 * qcow2/structures.h, before it is used. Nothing is written here. The bits are read in
 * store-bits.c.
 */
#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "core/memory.h"
#include "qcow2/generations.h"
#include "store-internal.h"

#define DM_MSG_PREFIX "live"

/* Buffers are no larger than this: the unit of bits that commits write. */
#define MAX_BUFFER_BITS		12

/*
 * Memory for what is read, zeroed; it is kept until the store is closed. A reload is
 * part of a resume, and if it fails for lack of memory, the mapped device stays
 * suspended. So opening the store allocates what the next reload needs, unless the
 * store has grown in between, or could not be read when it was opened.
 */
static void *take_room(struct dm_live_store *store, unsigned int what, u64 bytes)
{
	struct dm_live_room *room = &store->rooms[what];

	if (room->memory && bytes <= room->bytes)
		return memset(room->memory, 0, bytes);
	kvfree(room->memory);
	room->memory = dm_live_zalloc_large(bytes);
	room->bytes = bytes;
	return room->memory;
}

static void free_rooms(struct dm_live_store *store)
{
	unsigned int i;

	for (i = 0; i < DM_LIVE_NR_ROOMS; i++)
		kvfree(store->rooms[i].memory);
}

/* Copy @bytes at @offset of the device to memory. */
static int read_bytes(struct dm_live_store *store, u64 offset, void *to,
		      u64 bytes)
{
	const u64 unit = 1ULL << store->buffer_bits;

	while (bytes) {
		u64 start = round_down(offset, unit);
		u64 skip = offset - start;
		u64 chunk = min_t(u64, bytes, DM_LIVE_STORE_STAGE_BYTES - skip);
		int r = dm_live_store_read_to_stage(store, start,
						    round_up(skip + chunk, unit));

		if (r)
			return r;
		memcpy(to, store->stage + skip, chunk);
		offset += chunk;
		to += chunk;
		bytes -= chunk;
	}
	return 0;
}

static int refused(struct dm_live_store *store,
		   const struct qcow2_store_error *error)
{
	DMERR("%s: metadata device: %s", store->params.name, error->message);
	return -EINVAL;
}

static int open_bufio(struct dm_live_store *store)
{
	struct dm_bufio_client *bufio;

	bufio = dm_bufio_client_create(store->params.meta,
				       1U << store->buffer_bits, 1, 0, NULL,
				       NULL, 0);
	if (IS_ERR(bufio)) {
		DMERR("%s: metadata device: cannot allocate buffers",
		      store->params.name);
		return PTR_ERR(bufio);
	}
	store->bufio = bufio;
	return 0;
}

/* The cluster size limits the size of a buffer, so it is looked up first. */
static int choose_buffers(struct dm_live_store *store)
{
	unsigned int block_bytes = bdev_logical_block_size(store->params.meta);
	u8 start[QCOW2_V3_MIN_HEADER_BYTES];
	u32 cluster_bits;
	int r;

	store->buffer_bits = ilog2(block_bytes);
	r = read_bytes(store, 0, start, sizeof(start));
	if (r)
		return r;

	cluster_bits = qcow2_store_probe_cluster_bits(start, sizeof(start));
	if (!cluster_bits) {
		DMERR("%s: metadata device: not a qcow2 image of version 3 with a valid cluster size",
		      store->params.name);
		return -EINVAL;
	}
	store->cluster_bits = cluster_bits;
	store->buffer_bits = min_t(u32, cluster_bits, MAX_BUFFER_BITS);
	if (1U << store->buffer_bits < block_bytes) {
		DMERR("%s: metadata device: its logical block size is larger than a cluster or than 4096 bytes",
		      store->params.name);
		return -EINVAL;
	}
	return open_bufio(store);
}

/* The header and its extensions. */
static int read_first_cluster(struct dm_live_store *store, void **data,
			      u64 *bytes)
{
	u64 device_bytes = bdev_nr_bytes(store->params.meta);

	*bytes = min_t(u64, device_bytes, 1U << store->cluster_bits);
	/* The end of a device that is not a multiple of a buffer cannot be read. */
	*bytes = round_down(*bytes, 1ULL << store->buffer_bits);
	if (!*bytes) {
		DMERR("%s: metadata device: it is too small",
		      store->params.name);
		return -EINVAL;
	}
	*data = take_room(store, DM_LIVE_ROOM_HEADER, *bytes);
	if (!*data)
		return -ENOMEM;
	return read_bytes(store, 0, *data, *bytes);
}

static int check_header(struct dm_live_store *store)
{
	struct qcow2_store_error error;
	u32 cluster_bits;
	void *data = NULL;
	u64 bytes;
	int r;

	r = read_first_cluster(store, &data, &bytes);
	cluster_bits = r ? 0 : qcow2_store_probe_cluster_bits(data, bytes);
	/* The device was formatted again since it was opened. */
	if (cluster_bits && cluster_bits != store->cluster_bits) {
		store->cluster_bits = cluster_bits;
		r = read_first_cluster(store, &data, &bytes);
	}
	if (!r && qcow2_store_check_header(data, bytes,
					   bdev_nr_bytes(store->params.meta),
					   &store->header, &error))
		r = refused(store, &error);
	return r;
}

static int read_header(struct dm_live_store *store)
{
	int r = check_header(store);

	if (r)
		return r;

	if (min_t(u32, store->header.cluster_bits, MAX_BUFFER_BITS) !=
	    store->buffer_bits) {
		DMERR("%s: metadata device: its cluster size has changed",
		      store->params.name);
		return -EINVAL;
	}
	if (store->header.size_bytes != store->params.size_bytes) {
		DMERR("%s: metadata device: it is for a device of %llu bytes, not %llu",
		      store->params.name, store->header.size_bytes,
		      store->params.size_bytes);
		return -EINVAL;
	}
	if (!store->header.bitmaps_valid) {
		DMERR("%s: metadata device: %s", store->params.name,
		      store->header.nr_bitmaps ?
		      "the bitmaps are out of date: the image was written without them" :
		      "there are no bitmaps");
		return -EINVAL;
	}
	if (!store->header.state_offset && !store->params.read_only) {
		DMERR("%s: metadata device: not prepared as a bitmap store: run dmlive meta prepare",
		      store->params.name);
		return -EINVAL;
	}
	if (store->header.nr_bitmaps > QCOW2_DMLIVE_MAX_BITMAPS) {
		DMERR("%s: metadata device: more than %u bitmaps",
		      store->params.name, QCOW2_DMLIVE_MAX_BITMAPS);
		return -EINVAL;
	}
	return 0;
}

/* Damaged generations count as none: then the next backup is a full one. */
static int read_generations(struct dm_live_store *store)
{
	struct qcow2_store_error error;
	int r;

	if (!store->header.generations_offset)
		return 0;
	r = read_bytes(store, store->header.generations_offset,
		       store->generations, sizeof(store->generations));
	if (r || !qcow2_generations_check(store->generations, &error))
		return r;
	DMWARN("%s: metadata device: %s: no bitmap goes with a backup",
	       store->params.name, error.message);
	store->header.generations_offset = 0;
	return 0;
}

/* A damaged seal counts as a gap in the tracking: then all blocks count as changed. */
static int read_seal(struct dm_live_store *store)
{
	u8 sector[QCOW2_DMLIVE_SEAL_BYTES];
	struct qcow2_store_error error;
	int r;

	store->seal_is_due = false;
	if (!store->header.seal_offset)
		return 0;
	r = read_bytes(store, store->header.seal_offset, sector,
		       sizeof(sector));
	if (r || !qcow2_seal_decode(sector, &store->seal, &error))
		return r;
	DMWARN("%s: metadata device: %s", store->params.name, error.message);
	qcow2_seal_set_gap(&store->seal, QCOW2_DMLIVE_GAP_DAMAGED, 0, 0);
	return 0;
}

static int read_part(void *store, u64 offset, void *to, u64 bytes)
{
	return read_bytes(store, offset, to, bytes);
}

static void *room_of_part(void *store, enum qcow2_store_part part, u64 bytes)
{
	return take_room(store, part, bytes);
}

static int take_structures(struct dm_live_store *store,
			   const struct qcow2_store_structures *structures)
{
	u64 *clusters = structures->tables;
	u32 i;

	store->directory = structures->directory;
	store->bitmaps = take_room(store, DM_LIVE_ROOM_BITMAPS,
				   array_size(store->header.nr_bitmaps,
					      sizeof(*store->bitmaps)));
	if (!store->bitmaps)
		return -ENOMEM;
	for (i = 0; i < store->header.nr_bitmaps; i++) {
		store->bitmaps[i].entry = structures->bitmaps[i];
		store->bitmaps[i].clusters = clusters;
		clusters += structures->bitmaps[i].table_entries;
	}
	return 0;
}

static int read_bitmaps(struct dm_live_store *store)
{
	const struct qcow2_store_reader reader = {
		.read = read_part,
		.room = room_of_part,
		.context = store,
		.preallocated = !store->params.read_only,
	};
	struct qcow2_store_structures structures = { 0 };
	struct qcow2_store_error error;
	int r;

	r = qcow2_store_read(&reader, &store->header, &structures, &error);
	if (r)
		return error.message[0] ? refused(store, &error) : r;
	return take_structures(store, &structures);
}

/* Their memory is kept: take_room(). */
static void forget_structures(struct dm_live_store *store)
{
	u32 i;

	for (i = 0; store->bitmaps && i < store->header.nr_bitmaps; i++)
		dm_live_bitmap_destroy(store->bitmaps[i].as_read);
	store->bitmaps = NULL;
	store->directory = NULL;
	memset(&store->header, 0, sizeof(store->header));
}

static int read_structures(struct dm_live_store *store)
{
	int r;

	r = read_header(store) ?:
	    read_generations(store) ?:
	    read_seal(store) ?:
	    read_bitmaps(store);
	if (r)
		forget_structures(store);
	return r;
}

static int read_all(struct dm_live_store *store)
{
	int r = store->bufio ? 0 : choose_buffers(store);

	return r ?: read_structures(store);
}

int dm_live_store_reload(struct dm_live_store *store)
{
	forget_structures(store);
	WRITE_ONCE(store->failed, false);
	/* Nothing is dirty: forget what was read before, and old errors. */
	if (store->bufio) {
		dm_bufio_client_reset(store->bufio);
		if (!store->params.read_only)
			dm_bufio_write_dirty_buffers(store->bufio);
	}
	return read_all(store);
}
EXPORT_SYMBOL_GPL(dm_live_store_reload);

static int allocate(struct dm_live_store *store)
{
	store->stage = vmalloc(DM_LIVE_STORE_STAGE_BYTES);
	store->staged = kvcalloc(DM_LIVE_STORE_STAGE_PAGES,
				 sizeof(*store->staged), GFP_KERNEL);
	store->wq = alloc_ordered_workqueue("dm_live_store", WQ_MEM_RECLAIM);
	return store->stage && store->staged && store->wq ? 0 : -ENOMEM;
}

struct dm_live_store *
dm_live_store_open(const struct dm_live_store_params *params)
{
	struct dm_live_store *store = kzalloc(sizeof(*store), GFP_KERNEL);
	int r;

	if (!store)
		return ERR_PTR(-ENOMEM);
	store->params = *params;
	dm_live_store_init_commits(store);
	r = allocate(store) ?: read_all(store);
	if (r && !(params->may_be_dead && store->failed)) {
		dm_live_store_close(store);
		return ERR_PTR(r);
	}
	return store;
}
EXPORT_SYMBOL_GPL(dm_live_store_open);

void dm_live_store_close(struct dm_live_store *store)
{
	if (!store)
		return;
	if (store->wq) {
		cancel_delayed_work_sync(&store->timer_work);
		destroy_workqueue(store->wq);
	}
	dm_live_store_release(store);
	forget_structures(store);
	free_rooms(store);
	if (store->bufio)
		dm_bufio_client_destroy(store->bufio);
	vfree(store->stage);
	kvfree(store->staged);
	kfree(store);
}
EXPORT_SYMBOL_GPL(dm_live_store_close);
