// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looking at a bitmap store, see inspect.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../dm-live/qcow2/extensions.h"
#include "../dm-live/qcow2/structures.h"
#include "block/blockdev.h"
#include "base/io.h"
#include "base/log.h"
#include "store/inspect.h"

static int read_at(struct meta_store *store, uint64_t offset, void *to,
		   size_t bytes)
{
	return io_read(store->fd, store->path, offset, to, bytes);
}

static void *allocate(size_t nr, size_t bytes)
{
	void *memory = calloc(nr ? nr : 1, bytes);

	if (!memory)
		error("out of memory");
	return memory;
}

static int invalid(const struct meta_store *store, int code,
		   const struct qcow2_store_error *reason)
{
	error("%s: not a valid bitmap store: %s", store->path, reason->message);
	return code;
}

static int unsupported(const struct meta_store *store, const char *reason)
{
	error("%s: %s", store->path, reason);
	return -EOPNOTSUPP;
}

/* A text of the first cluster; NULL with a message when memory is out. */
static char *copy_text(const uint8_t *from, size_t bytes)
{
	char *text = strndup((const char *)from, bytes);

	if (!text)
		error("out of memory");
	return text;
}

/* The text of an extension, if there is one; the first one counts. */
static int read_text(struct meta_store *store, uint32_t type, char **text)
{
	uint32_t bytes;
	size_t at = qcow2_extensions_find(store->first_cluster,
					  1UL << store->header.cluster_bits,
					  type, 0, &bytes);

	if (at)
		*text = copy_text(store->first_cluster + at, bytes);
	return at && !*text ? -ENOMEM : 0;
}

/* The texts in the first cluster. It has been checked, so all is in bounds. */
static int read_texts(struct meta_store *store)
{
	if (store->header.backing_offset) {
		store->backing = copy_text(store->first_cluster +
					   store->header.backing_offset,
					   store->header.backing_bytes);
		if (!store->backing)
			return -ENOMEM;
	}
	return read_text(store, QCOW2_EXT_BACKING_FORMAT,
			 &store->backing_format) ?:
	       read_text(store, QCOW2_EXT_DMLIVE_RESTORE, &store->description);
}

static int read_header(struct meta_store *store)
{
	struct qcow2_store_error reason;
	uint64_t bytes, device_bytes;
	off_t size;
	int r;

	size = lseek(store->fd, 0, SEEK_END);
	if (size < 0) {
		error_errno(errno, "%s: cannot find its size", store->path);
		return -errno;
	}
	device_bytes = size;
	bytes = 1U << QCOW2_MAX_CLUSTER_BITS;
	if (bytes > device_bytes)
		bytes = device_bytes;
	store->first_cluster = allocate(1, 1U << QCOW2_MAX_CLUSTER_BITS);
	if (!store->first_cluster)
		return -ENOMEM;
	r = read_at(store, 0, store->first_cluster, bytes);
	if (r)
		return r;
	r = qcow2_store_check_header(store->first_cluster, bytes, device_bytes,
				     &store->header, &reason);
	if (r)
		return invalid(store, r, &reason);
	if (store->header.nr_bitmaps > QCOW2_DMLIVE_MAX_BITMAPS)
		return unsupported(store,
				   "the image has more than 1024 bitmaps, which is not supported");
	return read_texts(store);
}

/* The memory of a store that is being read. */
struct reading {
	struct meta_store *store;
	void *parts[QCOW2_STORE_NR_PARTS];
};

static int read_part(void *context, u64 offset, void *to, u64 bytes)
{
	struct reading *reading = context;

	return read_at(reading->store, offset, to, bytes);
}

static void *make_room(void *context, enum qcow2_store_part part, u64 bytes)
{
	struct reading *reading = context;

	reading->parts[part] = allocate(1, bytes + 1);
	return reading->parts[part];
}

static int take_structures(struct meta_store *store,
			   const struct qcow2_store_structures *structures)
{
	u64 *table = structures->tables;
	uint32_t i;

	store->bitmaps = allocate(store->header.nr_bitmaps,
				  sizeof(*store->bitmaps));
	if (!store->bitmaps)
		return -ENOMEM;
	for (i = 0; i < store->header.nr_bitmaps; i++) {
		store->bitmaps[i].entry = structures->bitmaps[i];
		store->bitmaps[i].table = table;
		table += structures->bitmaps[i].table_entries;
	}
	return 0;
}

static int read_structures(struct meta_store *store)
{
	struct reading reading = { .store = store };
	const struct qcow2_store_reader reader = {
		.read = read_part,
		.room = make_room,
		.context = &reading,
	};
	struct qcow2_store_structures structures = { 0 };
	struct qcow2_store_error reason;
	int r;

	r = qcow2_store_read(&reader, &store->header, &structures, &reason);
	if (r == -EOPNOTSUPP)
		r = unsupported(store, reason.message);
	else if (r && reason.message[0])
		r = invalid(store, r, &reason);
	else if (!r)
		r = take_structures(store, &structures);
	store->directory = reading.parts[QCOW2_STORE_DIRECTORY];
	store->tables = reading.parts[QCOW2_STORE_TABLES];
	free(reading.parts[QCOW2_STORE_ENTRIES]);
	free(reading.parts[QCOW2_STORE_REFCOUNTS]);
	free(reading.parts[QCOW2_STORE_EXTENTS]);
	return r;
}

int meta_store_open(const char *path, struct meta_store *store)
{
	int r;

	memset(store, 0, sizeof(*store));
	store->path = path;
	/* A target that has it open, or had it, writes past the page cache. */
	if (path_is_blockdev(path))
		blockdev_drop_cache(path);
	store->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (store->fd < 0) {
		r = -errno;
		error_errno(r, "%s: cannot open", path);
		return r;
	}
	r = read_header(store) ?: read_structures(store);
	if (r)
		meta_store_close(store);
	return r;
}

void meta_store_close(struct meta_store *store)
{
	free(store->bitmaps);
	free(store->tables);
	free(store->directory);
	free(store->first_cluster);
	free(store->backing);
	free(store->backing_format);
	free(store->description);
	close(store->fd);
}

struct meta_store_bitmap *meta_store_find(struct meta_store *store,
					  const char *name)
{
	uint32_t i;

	for (i = 0; i < store->header.nr_bitmaps; i++)
		if (qcow2_store_name_is(&store->bitmaps[i].entry, name))
			return &store->bitmaps[i];
	return NULL;
}

bool meta_name_is_reserved(const char *name, size_t bytes)
{
	static const char prefix[] = QCOW2_DMLIVE_RESERVED_PREFIX;

	return bytes >= sizeof(prefix) - 1 &&
	       !memcmp(name, prefix, sizeof(prefix) - 1);
}

/* The bits of one table entry. */
static int read_cluster(struct meta_store *store, uint64_t entry, uint8_t *bits,
			size_t bytes)
{
	uint64_t offset = qcow2_bitmap_table_offset(entry);

	if (offset)
		return read_at(store, offset, bits, bytes);
	memset(bits, entry & QCOW2_BITMAP_TABLE_ALL_ONES ? 0xff : 0, bytes);
	return 0;
}

/* A run of set bits that grows, and is passed on when it ends. */
struct run {
	int (*each)(void *context, uint64_t offset, uint64_t length);
	void *context;
	uint64_t start, end;		/* bytes; equal: none */
};

static int end_run(struct run *run)
{
	int r = 0;

	if (run->start != run->end)
		r = run->each(run->context, run->start, run->end - run->start);
	run->start = run->end;
	return r;
}

static int add_to_run(struct run *run, uint64_t offset, uint64_t length)
{
	int r = 0;

	if (run->start == run->end || run->end != offset) {
		r = end_run(run);
		run->start = offset;
	}
	run->end = offset + length;
	return r;
}

static int walk_cluster(const struct meta_store *store, struct run *run,
			const uint8_t *bits, uint64_t first, uint64_t nr,
			unsigned int granularity_bits)
{
	uint64_t i, offset, left;
	int r = 0;

	for (i = 0; !r && i < nr; i++) {
		if (!bits[i / 8]) {
			i |= 7;
			continue;
		}
		if (!(bits[i / 8] >> (i % 8) & 1))
			continue;
		offset = (first + i) << granularity_bits;
		left = store->header.size_bytes - offset;
		if (left > 1ULL << granularity_bits)
			left = 1ULL << granularity_bits;
		r = add_to_run(run, offset, left);
	}
	return r;
}

int meta_store_walk(struct meta_store *store,
		    const struct meta_store_bitmap *bitmap,
		    int (*each)(void *context, uint64_t offset,
				uint64_t length),
		    void *context)
{
	const size_t cluster_bytes = 1UL << store->header.cluster_bits;
	const unsigned int granularity_bits = bitmap->entry.granularity_bits;
	struct run run = {
		.each = each,
		.context = context,
	};
	uint64_t total, first = 0;
	uint8_t *bits;
	uint32_t i;
	int r = 0;

	total = ((store->header.size_bytes - 1) >> granularity_bits) + 1;
	bits = allocate(1, cluster_bytes);
	if (!bits)
		return -ENOMEM;
	for (i = 0; !r && i < bitmap->entry.table_entries; i++) {
		uint64_t nr = cluster_bytes * 8;

		if (nr > total - first)
			nr = total - first;
		r = read_cluster(store, bitmap->table[i], bits, cluster_bytes);
		if (!r)
			r = walk_cluster(store, &run, bits, first, nr,
					 granularity_bits);
		first += nr;
	}
	free(bits);
	return r ? r : end_run(&run);
}
