// SPDX-License-Identifier: GPL-2.0-only
/*
 * The checks of a bitmap store refuse each way in which it can be wrong, with a message
 * that names what is wrong.
 */
#include <errno.h>
#include <string.h>

#include "store-builder.h"

/* A number that is written somewhere, and the message that it must cause. */
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

/* More than one field has to be changed at once. */
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

	/* A length whose sum with the others does not fit into 32 bits. */
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

/* Unsupported stores are distinguished from broken ones. */
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

/* Random changes of a few bytes: the check ends, and reads no byte out of bounds. */
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
		STORE_TEST(each_mutation_is_refused),
		STORE_TEST(refused_in_combination),
		STORE_TEST(not_supported),
		STORE_TEST(cut_off_anywhere),
		STORE_TEST(random_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
