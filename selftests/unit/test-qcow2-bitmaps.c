// SPDX-License-Identifier: GPL-2.0-only
/*
 * The codec reads a valid bitmap store, and what it writes it reads back the same.
 */
#include <errno.h>
#include <string.h>

#include "store-builder.h"

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
	assert_int_equal(qcow2_bitmap_table_offset(be64_to_cpu(*(__be64 *)(image + TABLE))),
			 BITS);
	assert_int_equal(qcow2_store_probe_cluster_bits(image, 104),
			 CLUSTER_BITS);
}

/* Accepted in an image that is not a store, if QEMU reads it too. */
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
	/* An update by dmlive, during which the bit is clear. */
	put(STATE + 4, 4, QCOW2_DMLIVE_UPDATING);
	assert_int_equal(check_header(CLUSTER), 0);
	assert_true(header.bitmaps_valid);
	/* Without bitmaps. */
	put(BITMAPS - 8, 4, 0x12345678);
	assert_int_equal(check_header(CLUSTER), 0);
	assert_false(header.bitmaps_valid);
	assert_int_equal(header.nr_bitmaps, 0);
	/* An image that is not prepared. */
	put(STATE - 8, 4, 0x12345678);
	assert_int_equal(check_header(CLUSTER), 0);
	assert_int_equal(header.state_offset, 0);
}

/* Generations and seal each end with a sector, and count only after a state extension. */
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

	/* QEMU has rewritten the header: both are ignored, whatever they contain. */
	put_extension(seal, QCOW2_EXT_DMLIVE_GENERATIONS, 8);
	put_extension(seal + 8 + 8, QCOW2_EXT_END, 0);
	put_extension(STATE, 0x12345678, 8);
	assert_int_equal(check_header(CLUSTER), 0);
	assert_int_equal(header.generations_offset, 0);
	assert_int_equal(header.seal_offset, 0);
}

/* What QEMU writes is valid, even if it cannot be written in place. */
static void not_preallocated(void **state)
{
	(void)state;
	put(TABLE, 8, 0);
	put(TABLE + 8, 8, QCOW2_BITMAP_TABLE_ALL_ONES);
	assert_int_equal(check_header(CLUSTER) ?: check_directory(), 0);
	assert_int_equal(check_tables(false), 0);
	assert_int_equal(check_tables(true), -EINVAL);
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
	/* The number of a closing stays until a writer clears unknown bits. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(valid_store),
		STORE_TEST(bitmaps_in_use_may_be_stale),
		STORE_TEST(entries_are_read_as_written),
		STORE_TEST(valid_or_not_consistent),
		STORE_TEST(sectors_at_the_end),
		STORE_TEST(not_preallocated),
		STORE_TEST(writes_what_it_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
