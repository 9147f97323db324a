// SPDX-License-Identifier: GPL-2.0-only
/*
 * The checks of a bitmap store take a valid one, and refuse each way in which it
 * can be wrong, with a message that names what is. Whatever the bytes are,
 * nothing is read outside of the buffers: these are allocated to the byte, and
 * the address sanitizer watches.
 */
#include <endian.h>
#include <errno.h>
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

/* Where things are in the valid store: the first bitmap has two clusters. */
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
static void *directory;		/* the names of the bitmaps stand in it */
static struct qcow2_store_header header;
static struct qcow2_store_bitmap bitmaps[8];
static struct qcow2_store_error error;

static void put(size_t at, unsigned int bytes, uint64_t value)
{
	while (bytes--) {
		image[at + bytes] = value;
		value >>= 8;
	}
}

static void put_entry(unsigned int nr, const char *name, uint64_t table,
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

static void put_extension(size_t at, uint32_t type, uint32_t bytes)
{
	put(at - 8, 4, type);
	put(at - 4, 4, bytes);
}

static int make_store(void **state)
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

static int free_store(void **state)
{
	(void)state;
	free(image);
	free(directory);
	directory = NULL;
	return 0;
}

/* A copy that ends where it must not be read any further. */
static void *part(size_t offset, size_t bytes)
{
	void *copy = malloc(bytes ? bytes : 1);

	assert_non_null(copy);
	memcpy(copy, image + offset, bytes);
	return copy;
}

static int check_header(size_t bytes)
{
	void *data = part(0, bytes);
	int r = qcow2_store_check_header(data, bytes, DEVICE, &header, &error);

	free(data);
	return r;
}

static int check_directory(void)
{
	assert_true(header.nr_bitmaps <= NR_OF(bitmaps));
	free(directory);
	directory = part(header.directory_offset, header.directory_bytes);
	return qcow2_store_check_directory(&header, directory, bitmaps, &error);
}

static int check_tables(bool preallocated)
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

static int check_overlaps(void)
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

static int check_all(void)
{
	error.message[0] = '\0';
	return check_header(CLUSTER) ?: check_directory() ?:
	       check_tables(true) ?: check_overlaps();
}

static void valid_store(void **state)
{
	(void)state;
	if (check_all())
		fail_msg("%s", error.message);
	assert_int_equal(header.cluster_bits, CLUSTER_BITS);
	assert_int_equal(header.size_bytes, DISK_BYTES);
	assert_true(header.bitmaps_valid);
	assert_int_equal(header.state_offset, STATE + 4);
	assert_int_equal(header.state_flags, 0);
	assert_int_equal(header.nr_bitmaps, 2);
	assert_true(qcow2_store_name_is(&bitmaps[0], "alloctrack"));
	assert_false(qcow2_store_name_is(&bitmaps[0], "alloctrac"));
	assert_false(qcow2_store_name_is(&bitmaps[0], "alloctracks"));
	assert_int_equal(bitmaps[0].granularity_bits, 16);
	assert_int_equal(DIRECTORY + bitmaps[1].flags_offset, ENTRY(1, flags));
	assert_int_equal(qcow2_store_bitmap_bytes(&header, &bitmaps[0]),
			 2 * CLUSTER);
	assert_int_equal(qcow2_store_table_cluster(*(__be64 *)(image + TABLE)),
			 BITS);
	assert_int_equal(qcow2_store_probe_cluster_bits(image, 104),
			 CLUSTER_BITS);
}

/* A number put somewhere, and what must be said about it. */
struct mutation {
	size_t at;
	unsigned int bytes;
	uint64_t value;
	const char *message;
};

static const struct mutation mutations[] = {
	{ HEADER(magic), 4, 0x51464900, "not a qcow2 image" },
	{ HEADER(version), 4, 2, "version 2, not 3" },
	{ HEADER(version), 4, 4, "version 4, not 3" },
	{ HEADER(cluster_bits), 4, 8, "cluster_bits is 8" },
	{ HEADER(cluster_bits), 4, 22, "cluster_bits is 22" },
	{ HEADER(cluster_bits), 4, 0xffffffff, "cluster_bits is" },
	{ HEADER(cluster_bits), 4, 13, "first cluster is cut off" },
	{ HEADER(header_length), 4, 96, "invalid header length 96" },
	{ HEADER(header_length), 4, 108, "invalid header length 108" },
	{ HEADER(header_length), 4, 0xfffffff8, "invalid header length" },
	{ HEADER(refcount_order), 4, 7, "refcount order 7" },
	{ HEADER(incompatible_features), 8, QCOW2_INCOMPAT_DIRTY, "dirty" },
	{ HEADER(incompatible_features), 8, QCOW2_INCOMPAT_CORRUPT, "corrupt" },
	{ HEADER(incompatible_features), 8, QCOW2_INCOMPAT_DATA_FILE,
	  "external data file" },
	{ HEADER(incompatible_features), 8, QCOW2_INCOMPAT_COMPRESSION,
	  "compression type contradicts" },
	{ HEADER(compression_type), 1, 1, "compression type contradicts" },
	{ HEADER(compression_type), 1, 2, "unknown compression type 2" },
	{ HEADER(incompatible_features), 8, QCOW2_INCOMPAT_EXTENDED_L2,
	  "extended L2 entries need clusters of 16 KiB" },
	{ HEADER(incompatible_features), 8, 1ULL << 5, "features 0x20" },
	{ HEADER(incompatible_features), 8, 1ULL << 63, "features 0x8" },
	{ HEADER(crypt_method), 4, 1, "encrypted" },
	{ HEADER(backing_file_offset), 8, 8, "name of the backing file" },
	{ HEADER(backing_file_offset), 8, CLUSTER, "name of the backing file" },
	{ HEADER(backing_file_offset), 8, ~0ULL, "name of the backing file" },
	{ HEADER(backing_file_size), 4, 1024, "name of the backing file" },
	{ HEADER(backing_file_size), 4, ~0U, "name of the backing file" },
	{ HEADER(backing_file_offset), 8, BITMAPS + 20, "reaches past its end" },
	{ HEADER(backing_file_offset), 8, BITMAPS - 4, "is cut off" },
	{ HEADER(l1_size), 4, 0xffffffff, "L1 table is too large" },
	{ HEADER(l1_size), 4, 2047, "L1 table has 2047 entries, the image's size needs 2048" },
	{ HEADER(l1_size), 4, 0, "L1 table has 0 entries" },
	{ HEADER(nb_snapshots), 4, 1, "snapshot table lies on the header" },
	{ HEADER(nb_snapshots), 4, QCOW2_MAX_SNAPSHOTS + 1, "invalid number of snapshots" },
	{ HEADER(l1_table_offset), 8, L1 + 512, "L1 table is not aligned" },
	{ HEADER(l1_table_offset), 8, DEVICE, "L1 table lies outside" },
	{ HEADER(l1_table_offset), 8, 0, "L1 table lies on the header" },
	{ HEADER(l1_table_offset), 8, REFCOUNTS, "overlap" },
	{ HEADER(refcount_table_clusters), 4, 0, "refcount table has an invalid" },
	{ HEADER(refcount_table_clusters), 4, ~0U, "refcount table has an invalid" },
	{ HEADER(refcount_table_clusters), 4, NR_CLUSTERS, "refcount table lies outside" },
	{ HEADER(refcount_table_offset), 8, 0, "refcount table lies on the header" },
	{ HEADER(refcount_table_offset), 8, ~0ULL << CLUSTER_BITS,
	  "refcount table lies outside" },
	{ HEADER(refcount_table_clusters), 4, 2, "overlap" },
	{ REFCOUNTS, 8, REFCOUNT_BLOCK + 8, "entry 0 of the refcount table is not aligned" },
	{ REFCOUNTS + 8, 8, DEVICE, "entry 1 of the refcount table lies outside" },
	{ REFCOUNTS + CLUSTER - 8, 8, ~0ULL << CLUSTER_BITS, "of the refcount table lies outside" },
	{ REFCOUNTS + 8, 8, REFCOUNT_BLOCK, "a refcount block and a refcount block overlap" },
	{ REFCOUNTS + 8, 8, BITS2, "'other bitmap': a cluster of bits and a refcount" },

	{ STATE - 4, 4, 4, "state extension has 4 bytes, not 8" },
	{ STATE - 4, 4, ~0U, "reaches past its end" },
	{ STATE, 4, 2, "version 2, not 1" },
	{ STATE + 4, 4, 1U << 31, "unknown flags 0x80000000" },
	{ BITMAPS - 8, 4, QCOW2_EXT_DMLIVE_STATE, "two state extensions" },
	{ BITMAPS - 4, 4, 16, "bitmaps extension has 16 bytes, not 24" },
	{ BITMAPS - 4, 4, 32, "bitmaps extension has 32 bytes, not 24" },
	{ BITMAPS, 4, 0, "invalid number of bitmaps 0" },
	{ BITMAPS, 4, QCOW2_MAX_BITMAPS + 1, "invalid number of bitmaps 65536" },
	{ BITMAPS + 4, 4, 1, "reserved field" },
	{ BITMAPS + 8, 8, 47, "directory has an invalid size of 47" },
	{ BITMAPS + 8, 8, ~0ULL, "directory has an invalid size" },
	{ BITMAPS + 8, 8, DEVICE, "directory lies outside" },
	{ BITMAPS + 8, 8, 2 * ENTRY_BYTES + 8, "larger than its entries" },
	{ BITMAPS + 8, 8, 2 * ENTRY_BYTES - 8, "entry 1 of the bitmap directory reaches past" },
	{ BITMAPS + 8, 8, 2 * 24, "entry 1" },
	{ BITMAPS, 4, 1, "larger than its entries" },
	{ BITMAPS, 4, 3, "is cut off at entry 2" },
	{ BITMAPS + 16, 8, 0, "directory lies on the header" },
	{ BITMAPS + 16, 8, DIRECTORY + 8, "directory is not aligned" },
	{ BITMAPS + 16, 8, DEVICE, "directory lies outside" },
	{ BITMAPS + 16, 8, ~0ULL << CLUSTER_BITS, "directory lies outside" },

	{ ENTRY(0, name_size), 2, 0, "name of 0 bytes" },
	{ ENTRY(0, name_size), 2, 1024, "entry 0 of the bitmap directory reaches past" },
	{ ENTRY(1, name_size), 2, 17, "entry 1 of the bitmap directory reaches past" },
	{ ENTRY(1, name_size), 2, 8, "larger than its entries" },
	{ NAME(0) + 3, 1, 0, "zero byte in the name" },
	{ ENTRY(0, type), 1, 0, "'alloctrack': unknown type 0" },
	{ ENTRY(1, type), 1, 2, "'other bitmap': unknown type 2" },
	{ ENTRY(0, flags), 4, 8, "'alloctrack': unknown flags 0x8" },
	{ ENTRY(1, flags), 4, 1U << 31, "'other bitmap': unknown flags 0x80000000" },
	{ ENTRY(1, extra_data_size), 4, ~0U, "entry 1 of the bitmap directory reaches past" },
	{ ENTRY(0, granularity_bits), 1, 8, "'alloctrack': invalid granularity" },
	{ ENTRY(0, granularity_bits), 1, 32, "power of 32" },
	{ ENTRY(0, granularity_bits), 1, 255, "power of 255" },
	{ ENTRY(0, granularity_bits), 1, 17, "'alloctrack': its table has 2 entries" },
	{ ENTRY(1, granularity_bits), 1, 16, "its table has 1 entries" },
	{ ENTRY(0, bitmap_table_size), 4, 0, "its table has 0 entries" },
	{ ENTRY(0, bitmap_table_size), 4, ~0U, "needs 2" },
	{ HEADER(size), 8, DISK_BYTES + 512 + 1, "needs 3" },
	{ HEADER(size), 8, ~0ULL, "the image's size needs" },
	{ HEADER(size), 8, 0, "needs 0" },
	{ ENTRY(0, bitmap_table_offset), 8, 0, "its table is not aligned" },
	{ ENTRY(0, bitmap_table_offset), 8, TABLE + 8, "its table is not aligned" },
	{ ENTRY(1, bitmap_table_offset), 8, DEVICE, "'other bitmap': its table lies outside" },
	{ ENTRY(1, bitmap_table_offset), 8, ~0ULL << CLUSTER_BITS, "outside" },
	{ ENTRY(1, bitmap_table_offset), 8, TABLE, "overlap" },

	{ TABLE, 8, 1ULL << 63 | BITS, "reserved bits are set in entry 0" },
	{ TABLE + 8, 8, BITS + CLUSTER + 2, "reserved bits are set in entry 1" },
	{ TABLE, 8, BITS + 1, "reserved bits are set in entry 0" },
	{ TABLE, 8, 0, "'alloctrack': its clusters are not allocated" },
	{ TABLE2, 8, 1, "'other bitmap': its clusters are not allocated" },
	{ TABLE, 8, BITS + 512, "entry 0 of its table is not aligned" },
	{ TABLE, 8, DEVICE, "entry 0 of its table lies outside" },
	{ TABLE, 8, QCOW2_BITMAP_TABLE_OFFSET_MASK & ~(CLUSTER - 1), "lies outside" },
	{ TABLE + 8, 8, BITS, "'alloctrack': a cluster of bits and a cluster of bits overlap" },
	{ TABLE + 8, 8, BITS2, "overlap" },
	{ TABLE + 8, 8, TABLE, "overlap" },
	{ TABLE2, 8, DIRECTORY, "overlap" },
	{ TABLE2, 8, L1, "overlap" },
	{ TABLE2, 8, REFCOUNTS, "overlap" },
};

static void each_mutation_is_refused(void **state)
{
	unsigned int i, nr_failed = 0;

	for (i = 0; i < NR_OF(mutations); i++) {
		const struct mutation *mutation = &mutations[i];
		int r;

		free_store(state);
		make_store(state);
		put(mutation->at, mutation->bytes, mutation->value);
		r = check_all();
		if ((r == -EINVAL || r == -EOPNOTSUPP) &&
		    strstr(error.message, mutation->message))
			continue;
		print_error("%#zx = %#llx: wanted '%s', got %d '%s'\n",
			    mutation->at, (unsigned long long)mutation->value,
			    mutation->message, r, error.message);
		nr_failed++;
	}
	assert_int_equal(nr_failed, 0);
}

/* Two things have to be wrong, or right, at once. */
static void refused_in_combination(void **state)
{
	(void)state;
	put(ENTRY(0, name_size), 2, 12);
	memcpy(image + NAME(0), "other bitmap", 12);
	assert_int_equal(check_all(), -EINVAL);
	assert_non_null(strstr(error.message, "two of that name"));

	put(NAME(1), 1, '\n');
	put(ENTRY(1, type), 1, 3);
	assert_int_equal(check_all(), -EINVAL);
	assert_non_null(strstr(error.message, "bitmap '?ther bitmap'"));
	put(ENTRY(1, type), 1, QCOW2_BITMAP_TYPE_DIRTY);

	put(ENTRY(1, name_size), 2, 8);
	put(ENTRY(1, extra_data_size), 4, 4);
	assert_int_equal(check_all(), -EOPNOTSUPP);
	assert_non_null(strstr(error.message, "'r bitmap': it has 4 bytes of extra"));
	put(ENTRY(1, flags), 4, QCOW2_BITMAP_EXTRA_COMPATIBLE);
	assert_int_equal(check_all(), 0);

	/* A length that does not fit into 32 bits once all is added. */
	put(ENTRY(1, extra_data_size), 4, 0xffffffe8);
	assert_int_equal(check_all(), -EINVAL);
	assert_non_null(strstr(error.message, "reaches past its end"));

	put(HEADER(nb_snapshots), 4, 2);
	put(HEADER(snapshots_offset), 8, SNAPSHOTS);
	assert_int_equal(check_header(CLUSTER), 0);
	put(HEADER(snapshots_offset), 8, DIRECTORY);
	put(ENTRY(1, extra_data_size), 4, 4);
	assert_int_equal(check_all(), -EINVAL);
	assert_non_null(strstr(error.message, "the snapshot table"));

	put(BITMAPS - 8, 4, QCOW2_EXT_DMLIVE_STATE);
	put(BITMAPS - 4, 4, 8);
	put(BITMAPS + 8 + 8 - 8, 4, 0x12345678);
	put(BITMAPS + 8 + 8 - 4, 4, 8);
	assert_int_equal(check_header(CLUSTER), -EINVAL);
	assert_non_null(strstr(error.message, "two state extensions"));
}

/* In an image that is no store; but nothing that QEMU does not read. */
static void bitmaps_in_use_may_be_stale(void **state)
{
	(void)state;
	put(ENTRY(1, bitmap_table_size), 4, 2);
	put(ENTRY(1, flags), 4, QCOW2_BITMAP_IN_USE);
	assert_int_equal(check_header(CLUSTER), 0);
	assert_int_equal(check_directory(), -EINVAL);
	assert_int_equal(qcow2_check_directory(&header, directory, true,
					       bitmaps, &error), 0);
	put(ENTRY(1, flags), 4, 0);
	check_directory();
	assert_int_equal(qcow2_check_directory(&header, directory, true,
					       bitmaps, &error), -EINVAL);
	put(ENTRY(1, flags), 4, QCOW2_BITMAP_IN_USE);
	put(ENTRY(1, bitmap_table_size), 4, ~0U);
	check_directory();
	assert_int_equal(qcow2_check_directory(&header, directory, true,
					       bitmaps, &error), -EINVAL);
	assert_non_null(strstr(error.message, "larger than 512 MiB"));
	put(ENTRY(1, bitmap_table_size), 4, 0);
	check_directory();
	assert_int_equal(qcow2_check_directory(&header, directory, true,
					       bitmaps, &error), -EINVAL);
	assert_non_null(strstr(error.message, "it has no table"));
}

static void entries_are_read_as_written(void **state)
{
	struct qcow2_store_bitmap written;
	void *found;

	(void)state;
	assert_int_equal(check_header(CLUSTER) ?: check_directory(), 0);
	written = bitmaps[1];
	assert_int_equal(qcow2_bitmap_entry_bytes(0, written.name_bytes),
			 ENTRY_BYTES);
	found = part(ENTRY(1, bitmap_table_offset), ENTRY_BYTES);
	memset(image + ENTRY(1, bitmap_table_offset), 0, ENTRY_BYTES);
	qcow2_encode_bitmap_entry(image + ENTRY(1, bitmap_table_offset),
				  &written);
	assert_memory_equal(image + ENTRY(1, bitmap_table_offset), found,
			    ENTRY_BYTES);
	free(found);
}

static void valid_or_not_consistent(void **state)
{
	(void)state;
	put(HEADER(autoclear_features), 8, 0);
	assert_int_equal(check_header(CLUSTER), 0);
	assert_false(header.bitmaps_valid);
	/* Our own doing: the bit is clear for a moment only. */
	put(STATE + 4, 4, QCOW2_DMLIVE_UPDATING);
	assert_int_equal(check_header(CLUSTER), 0);
	assert_true(header.bitmaps_valid);
	/* Without bitmaps there is nothing to be valid. */
	put(BITMAPS - 8, 4, 0x12345678);
	assert_int_equal(check_header(CLUSTER), 0);
	assert_false(header.bitmaps_valid);
	assert_int_equal(header.nr_bitmaps, 0);
	/* An image that is not prepared. */
	put(STATE - 8, 4, 0x12345678);
	assert_int_equal(check_header(CLUSTER), 0);
	assert_int_equal(header.state_offset, 0);
}

/* What QEMU writes is valid, also if it cannot be written in place. */
/* Generations and seal: a sector at the end of each, if the state comes first. */
static void sectors_at_the_end(void **state)
{
	const size_t generations = END + 8, seal = 1024 + 8;

	(void)state;
	put(HEADER(backing_file_offset), 8, 0);
	put_extension(generations, QCOW2_EXT_DMLIVE_GENERATIONS,
		      1024 - generations);
	put_extension(seal, QCOW2_EXT_DMLIVE_SEAL, 2048 - seal);
	put_extension(2048 + 8, QCOW2_EXT_END, 0);
	assert_int_equal(check_header(CLUSTER), 0);
	assert_int_equal(header.generations_offset, 512);
	assert_int_equal(header.seal_offset, 1536);

	put(seal - 4, 4, 1536 - seal);
	assert_int_equal(check_header(CLUSTER), -EINVAL);
	assert_non_null(strstr(error.message, "seal extension does not end"));
	put_extension(seal, QCOW2_EXT_DMLIVE_SEAL, 2048 - seal);
	put_extension(generations, QCOW2_EXT_DMLIVE_SEAL, 1024 - generations);
	assert_int_equal(check_header(CLUSTER), -EINVAL);
	assert_non_null(strstr(error.message, "two seal extensions"));

	/* QEMU has written the header: then they say nothing, whatever they are. */
	put_extension(seal, QCOW2_EXT_DMLIVE_GENERATIONS, 8);
	put_extension(seal + 8 + 8, QCOW2_EXT_END, 0);
	put_extension(STATE, 0x12345678, 8);
	assert_int_equal(check_header(CLUSTER), 0);
	assert_int_equal(header.generations_offset, 0);
	assert_int_equal(header.seal_offset, 0);
}

static void not_preallocated(void **state)
{
	(void)state;
	put(TABLE, 8, 0);
	put(TABLE + 8, 8, QCOW2_BITMAP_TABLE_ALL_ONES);
	assert_int_equal(check_header(CLUSTER) ?: check_directory(), 0);
	assert_int_equal(check_tables(false), 0);
	assert_int_equal(check_tables(true), -EINVAL);
}

/* What is valid, but not for us, is told from what is broken. */
static void not_supported(void **state)
{
	static const struct mutation unsupported[] = {
		{ HEADER(version), 4, 2, "" },
		{ HEADER(crypt_method), 4, 2, "" },
		{ HEADER(incompatible_features), 8, 1ULL << 40, "" },
		{ HEADER(incompatible_features), 8, QCOW2_INCOMPAT_DATA_FILE, "" },
		{ STATE, 4, 2, "" },
		{ STATE + 4, 4, 1U << 7, "" },
	};
	unsigned int i;

	for (i = 0; i < NR_OF(unsupported); i++) {
		free_store(state);
		make_store(state);
		put(unsupported[i].at, unsupported[i].bytes,
		    unsupported[i].value);
		assert_int_equal(check_all(), -EOPNOTSUPP);
	}
}

static void cut_off_anywhere(void **state)
{
	size_t bytes;

	(void)state;
	for (bytes = 0; bytes < CLUSTER; bytes++) {
		assert_int_not_equal(check_header(bytes), 0);
		assert_true(strlen(error.message) > 0);
	}
	assert_int_equal(check_header(CLUSTER), 0);
}

static void writes_what_it_reads(void **state)
{
	unsigned int i;

	(void)state;
	put(HEADER(autoclear_features), 8, UINT64_MAX);
	qcow2_store_set_autoclear(image, true);
	for (i = 0; i < 8; i++)
		assert_int_equal(image[HEADER(autoclear_features) + i],
				 i == 7 ? QCOW2_AUTOCLEAR_KNOWN : 0);
	/* The number of a closing is there until whoever writes clears what is not known. */
	qcow2_store_set_closing(image, QCOW2_AUTOCLEAR_CLOSING_MAX);
	assert_int_equal(check_header(CLUSTER), 0);
	assert_true(header.bitmaps_valid);
	assert_int_equal(header.closing, QCOW2_AUTOCLEAR_CLOSING_MAX);
	qcow2_store_set_closing(image, 0x12345678);
	assert_int_equal(check_header(CLUSTER), 0);
	assert_int_equal(header.closing, 0x12345678);
	qcow2_store_set_autoclear(image, false);
	assert_int_equal(check_header(CLUSTER), 0);
	assert_int_equal(header.closing, 0);
	assert_false(header.bitmaps_valid);
	qcow2_store_set_autoclear(image, true);
	qcow2_store_set_flags(image + header.state_offset,
			      QCOW2_DMLIVE_UPDATING);
	assert_int_equal(check_header(CLUSTER) ?: check_directory(), 0);
	assert_true(header.bitmaps_valid);
	assert_int_equal(header.state_flags, QCOW2_DMLIVE_UPDATING);
	qcow2_store_set_flags(image + DIRECTORY + bitmaps[1].flags_offset,
			      QCOW2_BITMAP_IN_USE);
	assert_int_equal(check_all(), 0);
	assert_int_equal(bitmaps[1].flags, QCOW2_BITMAP_IN_USE);
	assert_int_equal(bitmaps[0].flags, QCOW2_BITMAP_AUTO);
}

/* Any change of a few bytes: a verdict, and no byte read that is not there. */
static void random_changes(void **state)
{
	struct rng rng = rng_new(0);
	unsigned int i, n;

	for (i = 0; i < 20000; i++) {
		free_store(state);
		make_store(state);
		for (n = 0; n <= rng_below(&rng, 3); n++) {
			size_t at = rng_below(&rng, 3) ?
				    rng_below(&rng, END + 16) :
				    DIRECTORY + rng_below(&rng, 2 * CLUSTER);

			image[at] = rng_below(&rng, 4) ? rng_next(&rng) : 0xff;
		}
		if (check_all())
			assert_true(strlen(error.message) > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_store, free_store)
		TEST(valid_store),
		TEST(each_mutation_is_refused),
		TEST(refused_in_combination),
		TEST(bitmaps_in_use_may_be_stale),
		TEST(entries_are_read_as_written),
		TEST(valid_or_not_consistent),
		TEST(sectors_at_the_end),
		TEST(not_preallocated),
		TEST(not_supported),
		TEST(cut_off_anywhere),
		TEST(writes_what_it_reads),
		TEST(random_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
