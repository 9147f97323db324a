/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STORE_BUILDER_H
#define STORE_BUILDER_H

/*
 * A valid bitmap store in memory, with two bitmaps, and the checks of the codec over it.
 * Whatever the bytes are, the checks must not read outside of the buffers: each buffer
 * has exactly the bytes that may be read, and the address sanitizer watches.
 */
#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include "unit.h"
#include "dm-live/qcow2/extents.h"
#include "dm-live/qcow2/refcounts.h"

#define CLUSTER_BITS	12
#define CLUSTER		(1UL << CLUSTER_BITS)
#define NR_CLUSTERS	16
#define DEVICE		(NR_CLUSTERS * CLUSTER)
#define DISK_BYTES	(CLUSTER * 8 * 65536 * 2 - 512)	/* 2 clusters of bits */

/* The layout of the valid store. The first bitmap has two clusters. */
#define REFCOUNTS	(1 * CLUSTER)
#define REFCOUNT_BLOCK	(2 * CLUSTER)
#define SNAPSHOTS	(3 * CLUSTER)
#define DIRECTORY	(4 * CLUSTER)
#define TABLE		(5 * CLUSTER)
#define TABLE2		(6 * CLUSTER)
#define BITS		(7 * CLUSTER)
#define BITS2		(9 * CLUSTER)
#define L1		(10 * CLUSTER)
#define L1_ENTRIES	2049		/* one more than needed */

#define HEADER(field)	offsetof(struct qcow2_header, field)
#define STATE		(sizeof(struct qcow2_header) + 8)
#define BITMAPS		(STATE + 8 + 8)
#define END		(BITMAPS + 24)
#define BACKING		(END + 8)

#define ENTRY_BYTES	40	/* of a name of 9 to 16 bytes */
#define ENTRY(nr, field) \
	(DIRECTORY + (nr) * ENTRY_BYTES + \
	 offsetof(struct qcow2_bitmap_entry, field))
#define NAME(nr) (DIRECTORY + (nr) * ENTRY_BYTES + 24)

static uint8_t *image;
static void *directory;		/* has the names of the bitmaps */
static struct qcow2_store_header header;
static struct qcow2_store_bitmap bitmaps[8];
static struct qcow2_store_error error;

static inline void put(size_t at, unsigned int bytes, uint64_t value)
{
	while (bytes--) {
		image[at + bytes] = value;
		value >>= 8;
	}
}

static inline void put_entry(unsigned int nr, const char *name, uint64_t table,
			     unsigned int table_entries, unsigned int granularity_bits)
{
	put(ENTRY(nr, bitmap_table_offset), 8, table);
	put(ENTRY(nr, bitmap_table_size), 4, table_entries);
	put(ENTRY(nr, flags), 4, QCOW2_BITMAP_AUTO);
	put(ENTRY(nr, type), 1, QCOW2_BITMAP_TYPE_DIRTY);
	put(ENTRY(nr, granularity_bits), 1, granularity_bits);
	put(ENTRY(nr, name_size), 2, strlen(name));
	memcpy(image + NAME(nr), name, strlen(name));
}

static inline void put_extension(size_t at, uint32_t type, uint32_t bytes)
{
	put(at - 8, 4, type);
	put(at - 4, 4, bytes);
}

static inline int make_store(void **state)
{
	(void)state;
	image = calloc(1, DEVICE);
	assert_non_null(image);
	put(HEADER(magic), 4, QCOW2_MAGIC);
	put(HEADER(version), 4, 3);
	put(HEADER(backing_file_offset), 8, BACKING);
	put(HEADER(backing_file_size), 4, 9);
	put(HEADER(cluster_bits), 4, CLUSTER_BITS);
	put(HEADER(size), 8, DISK_BYTES);
	put(HEADER(l1_size), 4, L1_ENTRIES);
	put(HEADER(l1_table_offset), 8, L1);
	put(HEADER(refcount_table_offset), 8, REFCOUNTS);
	put(HEADER(refcount_table_clusters), 4, 1);
	put(HEADER(autoclear_features), 8, QCOW2_AUTOCLEAR_BITMAPS);
	put(HEADER(refcount_order), 4, 4);
	put(HEADER(header_length), 4, sizeof(struct qcow2_header));
	put_extension(STATE, QCOW2_EXT_DMLIVE_STATE, 8);
	put(STATE, 4, QCOW2_DMLIVE_STATE_VERSION);
	put_extension(BITMAPS, QCOW2_EXT_BITMAPS, 24);
	put(BITMAPS, 4, 2);
	put(BITMAPS + 8, 8, 2 * ENTRY_BYTES);
	put(BITMAPS + 16, 8, DIRECTORY);
	put_extension(END + 8, QCOW2_EXT_END, 0);
	memcpy(image + BACKING, "disk.qcow", 9);

	put_entry(0, "alloctrack", TABLE, 2, 16);
	put_entry(1, "other bitmap", TABLE2, 1, 17);
	put(TABLE, 8, BITS);
	put(TABLE + 8, 8, BITS + CLUSTER);
	put(TABLE2, 8, BITS2);
	put(REFCOUNTS, 8, REFCOUNT_BLOCK);
	return 0;
}

static inline int free_store(void **state)
{
	(void)state;
	free(image);
	free(directory);
	directory = NULL;
	return 0;
}

/* A copy of exactly the bytes that may be read. */
static inline void *part(size_t offset, size_t bytes)
{
	void *copy = malloc(bytes ? bytes : 1);

	assert_non_null(copy);
	memcpy(copy, image + offset, bytes);
	return copy;
}

static inline int check_header(size_t bytes)
{
	void *data = part(0, bytes);
	int r = qcow2_store_check_header(data, bytes, DEVICE, &header, &error);

	free(data);
	return r;
}

static inline int check_directory(void)
{
	assert_true(header.nr_bitmaps <= NR_OF(bitmaps));
	free(directory);
	directory = part(header.directory_offset, header.directory_bytes);
	return qcow2_store_check_directory(&header, directory, bitmaps, &error);
}

static inline int check_tables(bool preallocated)
{
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < header.nr_bitmaps; i++) {
		__be64 *table = part(bitmaps[i].table_offset,
				     bitmaps[i].table_entries * 8ULL);

		r = qcow2_store_check_table(&header, &bitmaps[i], table,
					    preallocated, &error);
		free(table);
	}
	return r;
}

static inline int check_overlaps(void)
{
	void *refcounts = part(header.refcount_table_offset,
			       header.refcount_table_bytes);
	struct qcow2_store_extents extents = { 0 };
	size_t nr = QCOW2_STORE_HEADER_EXTENTS;
	uint32_t i, j;
	int r;

	r = qcow2_store_check_refcount_table(&header, refcounts, &error);
	if (r)
		goto out;
	nr += qcow2_store_count_refcounts(&header, refcounts);
	for (i = 0; i < header.nr_bitmaps; i++)
		nr += qcow2_store_count_bitmap(&bitmaps[i]);
	extents.list = calloc(nr, sizeof(*extents.list));
	assert_non_null(extents.list);
	qcow2_store_add_header(&extents, &header);
	qcow2_store_add_refcounts(&extents, &header, refcounts);
	for (i = 0; i < header.nr_bitmaps; i++) {
		u64 *entries = part(bitmaps[i].table_offset,
				    bitmaps[i].table_entries * 8ULL);

		for (j = 0; j < bitmaps[i].table_entries; j++)
			entries[j] = be64toh(entries[j]);
		qcow2_store_add_bitmap(&extents, &header, &bitmaps[i], entries);
		free(entries);
	}
	assert_true(extents.nr <= nr);
	r = qcow2_store_check_overlaps(&extents, &error);
out:
	free(extents.list);
	free(refcounts);
	return r;
}

static inline int check_all(void)
{
	error.message[0] = '\0';
	return check_header(CLUSTER) ?: check_directory() ?:
	       check_tables(true) ?: check_overlaps();
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, make_store, free_store)

#endif /* STORE_BUILDER_H */
