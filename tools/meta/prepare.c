// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making a bitmap store of an image that has bitmaps, see prepare.h.
 *
 * Order, with a sync after each step: refcounts and content of the new clusters;
 * the entries of the bitmap tables, each of which means the same bits before and
 * after; the state extension, put behind the others by a write of eight bytes.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/blockdev.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/size.h"
#include "meta/inspect.h"
#include "meta/prepare.h"
#include "qcow2/host-lock.h"

struct prepare {
	struct meta_store store;
	int fd;
	bool is_file;
	unsigned int refcount_order;	/* a refcount has 1 << order bits */
	uint64_t cluster_bytes;
	uint64_t nr_refcount_entries;
	__be64 *refcount_table;
	uint64_t next;			/* cluster that is free, as all behind it */
	uint64_t nr_allocated;
	uint8_t *cluster;		/* memory for one */
};

static int write_at(struct prepare *prepare, uint64_t offset, const void *data,
		    size_t bytes)
{
	return io_write(prepare->fd, prepare->store.path, offset, data, bytes);
}

static int read_at(struct prepare *prepare, uint64_t offset, void *to,
		   size_t bytes)
{
	return io_read(prepare->fd, prepare->store.path, offset, to, bytes);
}

static int sync_image(struct prepare *prepare)
{
	return io_sync(prepare->fd, prepare->store.path);
}

static uint64_t refcounts_per_block(const struct prepare *prepare)
{
	return prepare->cluster_bytes * 8 >> prepare->refcount_order;
}

static uint64_t refcount_block(const struct prepare *prepare, uint64_t index)
{
	return be64toh(prepare->refcount_table[index]);
}

static bool any_refcount(const uint8_t *block, uint64_t first_bit,
			 unsigned int bits)
{
	unsigned int i;

	if (bits < 8)
		return block[first_bit / 8] >> first_bit % 8 & ((1U << bits) - 1);
	for (i = 0; i < bits / 8; i++)
		if (block[first_bit / 8 + i])
			return true;
	return false;
}

/* The first cluster behind the last one that has a refcount. */
static int find_end(struct prepare *prepare)
{
	const uint64_t per_block = refcounts_per_block(prepare);
	const unsigned int bits = 1U << prepare->refcount_order;
	uint64_t index = prepare->nr_refcount_entries, i;
	int r;

	while (index--) {
		if (!refcount_block(prepare, index))
			continue;
		r = read_at(prepare, refcount_block(prepare, index),
			    prepare->cluster, prepare->cluster_bytes);
		if (r)
			return r;
		for (i = per_block; i; i--) {
			if (!any_refcount(prepare->cluster, (i - 1) * bits, bits))
				continue;
			prepare->next = index * per_block + i;
			return 0;
		}
	}
	error("%s: no cluster has a refcount", prepare->store.path);
	return -EINVAL;
}

/* The refcount of a cluster, which was 0, becomes 1. */
static int set_refcount(struct prepare *prepare, uint64_t cluster)
{
	const uint64_t per_block = refcounts_per_block(prepare);
	const unsigned int bits = 1U << prepare->refcount_order;
	uint64_t first_bit = cluster % per_block * bits;
	uint64_t offset = refcount_block(prepare, cluster / per_block) +
			  (first_bit + (bits < 8 ? 0 : bits - 8)) / 8;
	uint8_t byte = 1;
	int r;

	/* Big-endian, or in the bits of a byte from the lowest up. */
	if (bits < 8) {
		r = read_at(prepare, offset, &byte, 1);
		if (r)
			return r;
		byte |= 1U << first_bit % 8;
	}
	return write_at(prepare, offset, &byte, 1);
}

/* A new refcount block, which counts itself. */
static int add_refcount_block(struct prepare *prepare, uint64_t cluster)
{
	uint64_t index = cluster / refcounts_per_block(prepare);
	__be64 entry = htobe64(cluster * prepare->cluster_bytes);
	int r;

	memset(prepare->cluster, 0, prepare->cluster_bytes);
	r = write_at(prepare, be64toh(entry), prepare->cluster,
		     prepare->cluster_bytes);
	if (r)
		return r;
	prepare->refcount_table[index] = entry;
	r = set_refcount(prepare, cluster);
	if (!r)
		r = sync_image(prepare);
	if (!r)
		r = write_at(prepare, prepare->store.header.refcount_table_offset +
				      index * sizeof(entry), &entry,
			     sizeof(entry));
	return r ? r : sync_image(prepare);
}

static int check_room(struct prepare *prepare, uint64_t cluster)
{
	uint64_t end = (cluster + 1) * prepare->cluster_bytes;

	if (cluster / refcounts_per_block(prepare) >=
	    prepare->nr_refcount_entries) {
		error("%s: its refcount table is full: make an image with larger clusters (qemu-img create -o cluster_size=64k) and add the bitmaps to that",
		      prepare->store.path);
		return -EINVAL;
	}
	if (!prepare->is_file && end > prepare->store.header.device_bytes) {
		error("%s: the device is too small for all clusters of the bitmaps; dmlive meta size tells how large it must be",
		      prepare->store.path);
		return -ENOSPC;
	}
	return 0;
}

static int allocate_cluster(struct prepare *prepare, uint64_t *offset)
{
	uint64_t cluster;
	int r;

	while (true) {
		cluster = prepare->next;
		r = check_room(prepare, cluster);
		if (r)
			return r;
		prepare->next++;
		if (refcount_block(prepare,
				   cluster / refcounts_per_block(prepare)))
			break;
		r = add_refcount_block(prepare, cluster);
		if (r)
			return r;
	}
	*offset = cluster * prepare->cluster_bytes;
	prepare->nr_allocated++;
	return set_refcount(prepare, cluster);
}

/* A cluster with the bits that the entry stood for. */
static int fill_entry(struct prepare *prepare, u64 *entry)
{
	uint64_t offset;
	int r;

	r = allocate_cluster(prepare, &offset);
	if (r)
		return r;
	memset(prepare->cluster,
	       *entry & QCOW2_BITMAP_TABLE_ALL_ONES ? 0xff : 0,
	       prepare->cluster_bytes);
	r = write_at(prepare, offset, prepare->cluster, prepare->cluster_bytes);
	*entry = offset;
	return r;
}

/* Bits past the end of the device are zeros. */
static int clear_tail(struct prepare *prepare,
		      const struct meta_store_bitmap *bitmap)
{
	const struct qcow2_store_header *header = &prepare->store.header;
	uint64_t last = bitmap->entry.table_entries - 1;
	uint64_t bits = ((header->size_bytes - 1) >>
			 bitmap->entry.granularity_bits) + 1;
	uint64_t used = bits - last * prepare->cluster_bytes * 8;

	memset(prepare->cluster, 0, prepare->cluster_bytes);
	memset(prepare->cluster, 0xff, used / 8);
	if (used % 8)
		prepare->cluster[used / 8] = (1U << used % 8) - 1;
	return write_at(prepare, bitmap->table[last], prepare->cluster,
			prepare->cluster_bytes);
}

static int fill_bitmap(struct prepare *prepare, struct meta_store_bitmap *bitmap)
{
	uint32_t i, nr = bitmap->entry.table_entries;
	bool ones = false;
	int r = 0;

	for (i = 0; !r && i < nr; i++) {
		if (bitmap->table[i] & QCOW2_BITMAP_TABLE_OFFSET_MASK)
			continue;
		ones = i == nr - 1 &&
		       bitmap->table[i] & QCOW2_BITMAP_TABLE_ALL_ONES;
		r = fill_entry(prepare, &bitmap->table[i]);
	}
	if (!r && ones)
		r = clear_tail(prepare, bitmap);
	return r;
}

/* An entry means the same bits before and after: a torn write does no harm. */
static int write_table(struct prepare *prepare,
		       const struct meta_store_bitmap *bitmap)
{
	const uint32_t in_cluster = prepare->cluster_bytes / sizeof(__be64);
	__be64 *entries = (__be64 *)prepare->cluster;
	uint32_t done, i, nr;
	int r = 0;

	for (done = 0; !r && done < bitmap->entry.table_entries; done += nr) {
		nr = bitmap->entry.table_entries - done;
		if (nr > in_cluster)
			nr = in_cluster;
		for (i = 0; i < nr; i++)
			entries[i] = htobe64(bitmap->table[done + i]);
		r = write_at(prepare, bitmap->entry.table_offset +
				      (uint64_t)done * sizeof(*entries),
			     entries, nr * sizeof(*entries));
	}
	return r;
}

static int fill_bitmaps(struct prepare *prepare)
{
	struct meta_store *store = &prepare->store;
	uint32_t i, nr = store->header.nr_bitmaps;
	int r = 0;

	for (i = 0; !r && i < nr; i++)
		r = fill_bitmap(prepare, &store->bitmaps[i]);
	if (r || !prepare->nr_allocated)
		return r;
	r = sync_image(prepare);
	for (i = 0; !r && i < nr; i++)
		r = write_table(prepare, &store->bitmaps[i]);
	return r ? r : sync_image(prepare);
}

/* Where the mark stands that ends the extensions; 0: there is none. */
static size_t find_extensions_end(const struct meta_store *store)
{
	const uint8_t *data = store->first_cluster;
	size_t at, end = 1UL << store->header.cluster_bits;
	struct qcow2_extension extension;
	struct qcow2_header header;

	memcpy(&header, data, sizeof(header));
	if (header.backing_file_offset)
		end = be64toh(header.backing_file_offset);
	at = be32toh(header.header_length);
	while (at + sizeof(extension) <= end) {
		memcpy(&extension, data + at, sizeof(extension));
		if (be32toh(extension.type) == QCOW2_EXT_END)
			return at;
		at += sizeof(extension) +
		      ((be32toh(extension.length) + 7ULL) & ~7ULL);
	}
	return 0;
}

/* The name of the backing file makes room for the extension. */
static int move_backing_name(struct prepare *prepare, size_t extensions_end)
{
	const uint8_t *data = prepare->store.first_cluster;
	struct qcow2_header header;
	uint64_t old, new, bytes;
	__be64 offset;
	int r;

	memcpy(&header, data, sizeof(header));
	old = be64toh(header.backing_file_offset);
	bytes = be32toh(header.backing_file_size);
	if (!old || old >= extensions_end)
		return 0;
	new = (old + bytes + 7) & ~7ULL;
	if (new < extensions_end)
		new = extensions_end;
	if (new + bytes > prepare->cluster_bytes) {
		error("%s: no room for a header extension in the first cluster",
		      prepare->store.path);
		return -EINVAL;
	}
	offset = htobe64(new);
	r = write_at(prepare, new, data + old, bytes);
	if (!r)
		r = sync_image(prepare);
	if (!r)
		r = write_at(prepare, offsetof(struct qcow2_header,
					       backing_file_offset),
			     &offset, sizeof(offset));
	return r ? r : sync_image(prepare);
}

static int add_state(struct prepare *prepare)
{
	struct {
		struct qcow2_extension extension;
		struct qcow2_dmlive_state state;
		struct qcow2_extension end;
	} added = {
		.extension.type = htobe32(QCOW2_EXT_DMLIVE_STATE),
		.extension.length = htobe32(sizeof(added.state)),
		.state.version = htobe32(QCOW2_DMLIVE_STATE_VERSION),
		.end.type = htobe32(QCOW2_EXT_END),
	};
	size_t at = find_extensions_end(&prepare->store);
	int r;

	if (!at || at + sizeof(added) > prepare->cluster_bytes) {
		error("%s: no room for a header extension in the first cluster",
		      prepare->store.path);
		return -EINVAL;
	}
	r = move_backing_name(prepare, at + sizeof(added));
	/* What stands behind the old mark of the end is not looked at. */
	if (!r)
		r = write_at(prepare, at + sizeof(added.extension),
			     &added.state,
			     sizeof(added) - sizeof(added.extension));
	if (!r)
		r = sync_image(prepare);
	if (!r)
		r = write_at(prepare, at, &added.extension,
			     sizeof(added.extension));
	return r ? r : sync_image(prepare);
}

static int check_bitmaps(const struct meta_store *store)
{
	const struct qcow2_store_header *header = &store->header;
	uint32_t i;

	if (!header->nr_bitmaps) {
		error("%s: there are no bitmaps: add one (qemu-img bitmap --add), or make a store with dmlive meta format",
		      store->path);
		return -EINVAL;
	}
	if (!header->bitmaps_valid) {
		error("%s: the bitmaps are out of date: the image was written by something that does not know them",
		      store->path);
		return -EINVAL;
	}
	for (i = 0; i < header->nr_bitmaps; i++) {
		const struct qcow2_store_bitmap *entry =
			&store->bitmaps[i].entry;

		if (!(entry->flags & QCOW2_BITMAP_IN_USE))
			continue;
		error("%s: bitmap '%.*s' is in use or was not closed: %s",
		      store->path, entry->name_bytes, entry->name,
		      header->state_offset ?
		      "activate its target and remove it again to close it" :
		      "it cannot be trusted; remove it (qemu-img bitmap --remove)");
		return -EBUSY;
	}
	return 0;
}

static int open_image(struct prepare *prepare, const char *path)
{
	struct blockdev device;
	struct stat stat;
	int r;

	prepare->is_file = !path_is_blockdev(path);
	if (!prepare->is_file) {
		r = blockdev_open(path, &device) ?:
		    blockdev_check_unused(&device);
		if (r)
			return r;
	}
	prepare->fd = open(path, O_RDWR | O_CLOEXEC |
				 (prepare->is_file ? 0 : O_EXCL));
	if (prepare->fd < 0) {
		r = -errno;
		error_errno(r, "%s: cannot open", path);
		return r;
	}
	if (prepare->is_file &&
	    (fstat(prepare->fd, &stat) || !S_ISREG(stat.st_mode))) {
		error("%s: neither a regular file nor a block device", path);
		return -EINVAL;
	}
	r = host_lock_for_writing(prepare->fd);
	if (r)
		error("%s: another process uses this image (a running VM?)",
		      path);
	return r;
}

static int load(struct prepare *prepare)
{
	const struct qcow2_store_header *header = &prepare->store.header;
	struct qcow2_header on_disk;
	int r;

	memcpy(&on_disk, prepare->store.first_cluster, sizeof(on_disk));
	prepare->refcount_order = be32toh(on_disk.refcount_order);
	prepare->cluster_bytes = 1ULL << header->cluster_bits;
	prepare->nr_refcount_entries = qcow2_store_refcount_entries(header);
	prepare->refcount_table = malloc(header->refcount_table_bytes);
	prepare->cluster = malloc(prepare->cluster_bytes);
	if (!prepare->refcount_table || !prepare->cluster) {
		error("out of memory");
		return -ENOMEM;
	}
	r = read_at(prepare, header->refcount_table_offset,
		    prepare->refcount_table, header->refcount_table_bytes);
	return r ? r : find_end(prepare);
}

int meta_prepare(const char *path, uint64_t *nr_allocated)
{
	struct prepare prepare = { .fd = -1 };
	int r;

	*nr_allocated = 0;
	r = open_image(&prepare, path);
	if (r)
		goto close;
	r = meta_store_open(path, &prepare.store);
	if (r)
		goto close;
	r = check_bitmaps(&prepare.store);
	if (!r)
		r = load(&prepare);
	if (!r)
		r = fill_bitmaps(&prepare);
	if (!r && !prepare.store.header.state_offset)
		r = add_state(&prepare);
	*nr_allocated = prepare.nr_allocated;
	free(prepare.refcount_table);
	free(prepare.cluster);
	meta_store_close(&prepare.store);
close:
	if (prepare.fd >= 0)
		close(prepare.fd);
	return r;
}
