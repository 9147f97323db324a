// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parts of the codec that have no checks of their own: refcounts of every width,
 * entries of compressed clusters, snapshots, extensions.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm-live/qcow2/directory.h"
#include "dm-live/qcow2/extensions.h"
#include "dm-live/qcow2/refcounts.h"
#include "dm-live/qcow2/snapshots.h"
#include "dm-live/qcow2/tables.h"
#include "unit.h"

#define BLOCK	64

static void refcounts_of_every_width(void **state)
{
	struct rng rng = rng_new(1);
	uint8_t block[BLOCK];
	uint64_t counts[BLOCK * 8], mask;
	unsigned int order, i, nr;

	(void)state;
	for (order = 0; order <= QCOW2_MAX_REFCOUNT_ORDER; order++) {
		nr = qcow2_refcounts_in(BLOCK, order);
		assert_int_equal(nr << order, BLOCK * 8);
		mask = order == 6 ? UINT64_MAX : (1ULL << (1U << order)) - 1;
		memset(block, 0xff, sizeof(block));
		for (i = 0; i < nr; i++) {
			counts[i] = rng_next(&rng);
			qcow2_put_refcount(block, i, order, counts[i]);
		}
		for (i = 0; i < nr; i++)
			assert_int_equal(qcow2_get_refcount(block, i, order),
					 counts[i] & mask);
	}
}

/* As specified: big-endian, but starting at the lowest bit within a byte. */
static void refcounts_stand_where_they_should(void **state)
{
	static const uint8_t block[] = { 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 1 };

	(void)state;
	assert_int_equal(qcow2_get_refcount(block, 1, 0), 1);
	assert_int_equal(qcow2_get_refcount(block, 2, 1), 1);
	assert_int_equal(qcow2_get_refcount(block, 2, 2), 4);
	assert_int_equal(qcow2_get_refcount(block, 3, 3), 0x78);
	assert_int_equal(qcow2_get_refcount(block, 1, 4), 0x5678);
	assert_int_equal(qcow2_get_refcount(block, 0, 5), 0x12345678);
	assert_int_equal(qcow2_get_refcount(block, 0, 6), 0x1234567800000001ULL);
	assert_true(qcow2_refcount_block_is_valid(0x10000, 16));
	assert_false(qcow2_refcount_block_is_valid(0x10001, 16));
	assert_false(qcow2_refcount_block_is_valid(0x8000, 16));
}

static void compressed_clusters(void **state)
{
	struct rng rng = rng_new(2);
	unsigned int i, bits;

	(void)state;
	for (i = 0; i < 100000; i++) {
		struct qcow2_compressed found;
		uint64_t offset, bytes, entry;

		bits = QCOW2_MIN_CLUSTER_BITS + i % (QCOW2_MAX_CLUSTER_BITS -
						     QCOW2_MIN_CLUSTER_BITS + 1);
		offset = rng_next(&rng) >> 20;
		bytes = 1 + rng_below(&rng, 1U << bits);
		entry = qcow2_encode_compressed(offset, bytes, bits);
		assert_true(entry & QCOW2_OFLAG_COMPRESSED);
		found = qcow2_decode_compressed(entry | QCOW2_OFLAG_COPIED,
						bits);
		assert_int_equal(found.offset, offset);
		/* To the end of its last sector, and no further. */
		assert_int_equal((found.offset + found.bytes) % 512, 0);
		assert_in_range(found.bytes, bytes, bytes + 511);
	}
}

static void tables_are_large_enough(void **state)
{
	const uint64_t span = 1ULL << (16 + 13);

	(void)state;
	assert_int_equal(qcow2_l1_entries_needed(16, 0, 0), 0);
	assert_int_equal(qcow2_l1_entries_needed(16, 0, 1), 1);
	assert_int_equal(qcow2_l1_entries_needed(16, 0, span), 1);
	assert_int_equal(qcow2_l1_entries_needed(16, 0, span + 1), 2);
	assert_int_equal(qcow2_l1_entries_needed(16,
						 QCOW2_INCOMPAT_EXTENDED_L2,
						 span), 2);
	assert_int_equal(qcow2_l1_entries_needed(21, 0, UINT64_MAX),
			 1ULL << (64 - 21 - 18));
}

static void snapshots(void **state)
{
	struct qcow2_snapshot_entry entry = {
		.l1_table_offset = htobe64(0x50000),
		.l1_size = htobe32(7),
		.id_size = htobe16(1),
		.name_size = htobe16(300),
		.date_sec = htobe32(0x80000001),
		.date_nsec = htobe32(5),
		.vm_clock_nsec = htobe64(1ULL << 40),
		.vm_state_size = htobe32(9),
		.extra_data_size = htobe32(24),
	};
	struct qcow2_snapshot_extra extra = {
		.vm_state_size = htobe64(1ULL << 33),
		.disk_size = htobe64(1ULL << 34),
	};
	struct qcow2_snapshot_fields fields;
	unsigned int bytes;
	void *part;

	(void)state;
	for (bytes = 0; bytes <= sizeof(extra); bytes++) {
		qcow2_decode_snapshot(&entry, 4096, &fields);
		assert_int_equal(fields.l1_offset, 0x50000);
		assert_int_equal(fields.l1_entries, 7);
		assert_int_equal(fields.id_bytes, 1);
		assert_int_equal(fields.name_bytes, 300);
		assert_int_equal(fields.date_sec, 0x80000001);
		assert_int_equal(fields.date_nsec, 5);
		assert_int_equal(fields.vm_clock_nsec, 1ULL << 40);
		assert_int_equal(fields.extra_bytes, 24);
		part = malloc(bytes + !bytes);
		assert_non_null(part);
		memcpy(part, &extra, bytes);
		qcow2_decode_snapshot_extra(part, bytes, &fields);
		free(part);
		assert_int_equal(fields.vm_state_bytes,
				 bytes < 8 ? 9 : 1ULL << 33);
		assert_int_equal(fields.size_bytes,
				 bytes < 16 ? 4096 : 1ULL << 34);
	}
	assert_int_equal(qcow2_snapshot_start(41), 48);
	assert_int_equal(qcow2_snapshot_start(48), 48);
}

static void headers_are_read_as_written(void **state)
{
	const struct qcow2_fields written = {
		.version = 3,
		.cluster_bits = 9,
		.size_bytes = 1ULL << 40,
		.l1_entries = 2,
		.l1_offset = 3ULL << 32,
		.refcount_table_offset = 4ULL << 32,
		.refcount_table_clusters = 5,
		.refcount_order = 6,
		.nr_snapshots = 7,
		.snapshots_offset = 8ULL << 32,
		.incompatible = QCOW2_INCOMPAT_COMPRESSION,
		.compatible = 1ULL << 63,
		.autoclear = 1ULL << 48,
		.header_bytes = sizeof(struct qcow2_header),
		.compression = QCOW2_COMPRESSION_ZSTD,
		.backing_offset = 400,
		.backing_bytes = 112,
	};
	struct qcow2_store_error error;
	struct qcow2_fields found;
	uint8_t cluster[512] = { 0 };

	(void)state;
	qcow2_encode_fields(cluster, &written);
	assert_int_equal(qcow2_decode_fields(cluster, sizeof(cluster), &found,
					     &error), 0);
	assert_int_equal(qcow2_check_features(&found, &error), 0);
	assert_int_equal(found.version, written.version);
	assert_int_equal(found.cluster_bits, written.cluster_bits);
	assert_int_equal(found.size_bytes, written.size_bytes);
	assert_int_equal(found.l1_entries, written.l1_entries);
	assert_int_equal(found.l1_offset, written.l1_offset);
	assert_int_equal(found.refcount_table_offset,
			 written.refcount_table_offset);
	assert_int_equal(found.refcount_table_clusters,
			 written.refcount_table_clusters);
	assert_int_equal(found.refcount_order, written.refcount_order);
	assert_int_equal(found.nr_snapshots, written.nr_snapshots);
	assert_int_equal(found.snapshots_offset, written.snapshots_offset);
	assert_int_equal(found.incompatible, written.incompatible);
	assert_int_equal(found.compatible, written.compatible);
	assert_int_equal(found.autoclear, written.autoclear);
	assert_int_equal(found.header_bytes, written.header_bytes);
	assert_int_equal(found.compression, written.compression);
	assert_int_equal(found.backing_offset, written.backing_offset);
	assert_int_equal(found.backing_bytes, written.backing_bytes);
	qcow2_set_backing_offset(cluster, 401);
	assert_int_equal(qcow2_decode_fields(cluster, sizeof(cluster), &found,
					     &error), -EINVAL);
	assert_non_null(strstr(error.message, "name of the backing file"));
}

/* As many as fit, of increasing length. The walk finds all of them. */
static void extensions_are_found_as_written(void **state)
{
	const struct qcow2_fields fields = {
		.cluster_bits = 9,
		.refcount_order = 4,
	};
	struct qcow2_extension_info extension;
	struct qcow2_extension_walk walk;
	struct qcow2_store_error error;
	struct qcow2_fields found;
	uint8_t cluster[512] = { 0 };
	uint8_t payload[64];
	size_t at, next = sizeof(struct qcow2_header);
	uint32_t nr = 0, bytes;

	(void)state;
	memset(payload, 0x5a, sizeof(payload));
	qcow2_encode_fields(cluster, &fields);
	while (next) {
		at = next;
		next = qcow2_put_extension(cluster, sizeof(cluster), at,
					   0x1000 + nr, payload, nr);
		nr += !!next;
	}
	assert_int_equal(qcow2_put_extension(cluster, sizeof(cluster), 0, 1,
					     payload, 1), 0);
	assert_int_equal(qcow2_decode_fields(cluster, sizeof(cluster), &found,
					     &error), 0);
	assert_int_not_equal(qcow2_put_end_mark(cluster, sizeof(cluster), at),
			     0);
	assert_int_equal(qcow2_extensions_end_mark(cluster, sizeof(cluster)),
			 at);
	qcow2_extensions_start(&walk, cluster, sizeof(cluster), &found);
	for (bytes = 0; bytes < nr; bytes++) {
		assert_int_equal(qcow2_extensions_next(&walk, &extension,
						       &error), 1);
		assert_int_equal(extension.type, 0x1000 + bytes);
		assert_int_equal(extension.bytes, bytes);
		assert_memory_equal(cluster + extension.at, payload, bytes);
	}
	assert_int_equal(qcow2_extensions_next(&walk, &extension, &error), 0);

	/* The first of a type, if it is large enough. */
	at = qcow2_extensions_find(cluster, sizeof(cluster), 0x1004, 0, &bytes);
	assert_int_equal(bytes, 4);
	qcow2_set_extension_type(cluster, at, 0x1005);
	assert_int_equal(qcow2_extensions_find(cluster, sizeof(cluster), 0x1005,
					       0, &bytes), at);
	assert_int_equal(qcow2_extensions_find(cluster, sizeof(cluster), 0x1005,
					       5, &bytes), at + 16);
	assert_int_equal(qcow2_extensions_find(cluster, sizeof(cluster), 0x1005,
					       6, &bytes), 0);
}

#define NR_COLLIDING	200
#define NAME_BYTES	8

/* Entries with names, half of which hash to the first bucket of a table of that size. */
static void *make_colliding(size_t each)
{
	struct qcow2_store_bitmap entry = {
		.name_bytes = NAME_BYTES,
		.granularity_bits = 16,
		.table_entries = 1,
		.table_offset = 1 << 16,
	};
	char name[NAME_BYTES + 1];
	unsigned int i, n = 0;
	uint8_t *all = test_calloc(NR_COLLIDING, each);

	entry.name = name;
	for (i = 0; n < NR_COLLIDING; i++) {
		snprintf(name, sizeof(name), "%08x", i);
		if (n % 2 && (qcow2_store_name_hash(name, NAME_BYTES) >> 32) *
			     NR_COLLIDING >> 32)
			continue;
		qcow2_encode_bitmap_entry(all + n++ * each, &entry);
	}
	return all;
}

/* An image cannot make the search for duplicate names slow. */
static void colliding_names(void **state)
{
	const size_t each = qcow2_bitmap_entry_bytes(0, NAME_BYTES);
	struct qcow2_store_bitmap *bitmaps =
		test_calloc(NR_COLLIDING, sizeof(*bitmaps));
	struct qcow2_store_header header = {
		.cluster_bits = 16,
		.size_bytes = 1 << 20,
		.device_bytes = 1 << 20,
		.nr_bitmaps = 2,
		.directory_bytes = 2 * each,
	};
	struct qcow2_store_error error;
	void *all = make_colliding(each);

	(void)state;
	assert_int_equal(qcow2_check_directory(&header, all, false, bitmaps,
					       &error), 0);
	header.nr_bitmaps = NR_COLLIDING;
	header.directory_bytes = NR_COLLIDING * each;
	assert_int_equal(qcow2_check_directory(&header, all, false, bitmaps,
					       &error), -EINVAL);
	assert_non_null(strstr(error.message, "chosen to make"));
	test_free(all);
	test_free(bitmaps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refcounts_of_every_width),
		cmocka_unit_test(refcounts_stand_where_they_should),
		cmocka_unit_test(compressed_clusters),
		cmocka_unit_test(tables_are_large_enough),
		cmocka_unit_test(snapshots),
		cmocka_unit_test(headers_are_read_as_written),
		cmocka_unit_test(extensions_are_found_as_written),
		cmocka_unit_test(colliding_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
