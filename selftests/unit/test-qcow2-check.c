// SPDX-License-Identifier: GPL-2.0-only
/*
 * The check counts errors, distinguishes leaks from corruption, and ends in reasonable
 * time however the tables refer to each other.
 */
#include "qcow2-builder.h"
#include "qcow2/check.h"
#include <errno.h>

#define BITS 12
#define CLUSTER (1U << BITS)
#define SIZE (64 * CLUSTER)

static struct builder b;
static struct check check;
static char last_finding[512];

static int setup(void **state)
{
	(void)state;
	builder_create(&b, 3, BITS, SIZE);
	builder_truncate(&b, 10ULL << BITS);
	put_l2(&b, 0, 5ULL << BITS | QCOW2_OFLAG_COPIED);
	put_refcount(&b, 5, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	builder_destroy(&b);
	return 0;
}

static void finding(void *context, bool corruption, const char *text)
{
	(void)context;
	(void)corruption;
	snprintf(last_finding, sizeof(last_finding), "%s", text);
}

static void assert_finds(uint64_t corruptions, uint64_t leaks)
{
	struct image_options options = { .metadata_only = true, .force = true };
	struct image_error err = { "" };
	struct image *image;

	check.finding = finding;
	last_finding[0] = 0;
	if (image_open(b.path, &options, &image, &err))
		fail_msg("%s", err.message);
	if (image_check(image, &check, &err))
		fail_msg("%s", err.message);
	image_close(image);
	if (check.result.corruptions != corruptions ||
	    check.result.leaks != leaks)
		fail_msg("%llu corruptions, %llu leaks; last: %s",
			 (unsigned long long)check.result.corruptions,
			 (unsigned long long)check.result.leaks, last_finding);
}

static void a_sound_image_is_clean(void **state)
{
	(void)state;
	assert_finds(0, 0);
	assert_int_equal(check.result.allocated_clusters, 1);
	assert_int_equal(check.result.total_clusters, 64);
	assert_int_equal(check.result.image_end_offset, 6 * CLUSTER);
}

static void unreferenced_clusters_leak(void **state)
{
	(void)state;
	put_refcount(&b, 7, 1);
	put_refcount(&b, 8, 3);
	assert_finds(0, 2);
	put_refcount(&b, 5, 2);
	put_l2(&b, 0, 5ULL << BITS);
	assert_finds(0, 3);
}

static void too_small_refcounts_are_corruption(void **state)
{
	(void)state;
	put_refcount(&b, 5, 0);
	put_l2(&b, 0, 5ULL << BITS);
	assert_finds(1, 0);
	assert_string_equal(last_finding, "cluster 5: refcount 0, references 1");
	put_refcount(&b, 5, 1);
	put_l2(&b, 1, 5ULL << BITS);
	/* Shared but counted only once, so both flags look wrong, too. */
	assert_finds(3, 0);
}

static void flags_must_agree_with_refcounts(void **state)
{
	(void)state;
	put_l2(&b, 0, 5ULL << BITS);
	assert_finds(1, 0);
	put_l2(&b, 0, 5ULL << BITS | QCOW2_OFLAG_COPIED);
	put_l1(&b, 0, 4ULL << BITS);
	assert_finds(1, 0);
}

static void compressed_clusters_count_once_each(void **state)
{
	uint64_t one = 1ULL << QCOW2_COMPRESSED_SHIFT(BITS);

	(void)state;
	/* Two in cluster 6; the second one extends into cluster 7. */
	put_l2(&b, 1, QCOW2_OFLAG_COMPRESSED | ((6ULL << BITS) + 10));
	put_l2(&b, 2, QCOW2_OFLAG_COMPRESSED | ((7ULL << BITS) - 10) | one);
	put_refcount(&b, 6, 2);
	put_refcount(&b, 7, 1);
	assert_finds(0, 0);
	assert_int_equal(check.result.compressed_clusters, 2);
	put_l2(&b, 1, QCOW2_OFLAG_COPIED | QCOW2_OFLAG_COMPRESSED |
	       ((6ULL << BITS) + 10));
	assert_finds(1, 0);
}

static void bad_entries_are_corruption(void **state)
{
	(void)state;
	put_l2(&b, 1, (6ULL << BITS) + 512);
	assert_finds(1, 0);
	put_l2(&b, 1, 4);
	assert_finds(1, 0);
	put_l2(&b, 1, 10ULL << BITS | QCOW2_OFLAG_COPIED);
	assert_finds(2, 0);
	put_l2(&b, 1, QCOW2_OFLAG_ZERO);
	assert_finds(0, 0);
	put32(&b, HEADER_FIELD(l1_size), 2);
	put_l1(&b, 1, QCOW2_OFLAG_COPIED);
	assert_finds(1, 0);
	put_l1(&b, 1, 0);
	put64(&b, builder_cluster(&b, 1) + 8, 5);
	assert_finds(1, 0);
	put64(&b, builder_cluster(&b, 1) + 8, 1ULL << 60);
	assert_finds(1, 0);
}

static void tables_must_not_overlap(void **state)
{
	(void)state;
	put64(&b, HEADER_FIELD(l1_table_offset), builder_cluster(&b, 1));
	/* The L1 table, and with it all its clusters, cannot be reached. */
	assert_finds(1, 3);
}

static void snapshots_share_tables(void **state)
{
	uint64_t table = 6ULL << BITS;

	(void)state;
	put32(&b, HEADER_FIELD(nb_snapshots), 1);
	put64(&b, HEADER_FIELD(snapshots_offset), table);
	put64(&b, table, 7ULL << BITS);
	put32(&b, table + 8, 1);
	put_refcount(&b, 6, 1);
	put_refcount(&b, 7, 1);
	put64(&b, 7ULL << BITS, 4ULL << BITS);
	put_refcount(&b, 4, 2);
	put_refcount(&b, 5, 2);
	put_l1(&b, 0, 4ULL << BITS);
	put_l2(&b, 0, 5ULL << BITS);
	assert_finds(0, 0);
	put_refcount(&b, 5, 1);
	put_l2(&b, 0, 5ULL << BITS | QCOW2_OFLAG_COPIED);
	assert_finds(1, 0);
}

static void every_width_of_refcounts_is_understood(void **state)
{
	/* The same refcounts, 1 for clusters 0 to 5, in each width. */
	static const uint8_t widths[7][48] = {
		{ 0x3f }, { 0x55, 0x05 }, { 0x11, 0x11, 0x11 },
		{ 1, 1, 1, 1, 1, 1 },
		{ 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1 },
		{ 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1,
		  0, 0, 0, 1 },
		{ 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,
		  0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1,
		  0, 0, 0, 0, 0, 0, 0, 1 },
	};
	unsigned int order;

	(void)state;
	for (order = 0; order <= 6; order++) {
		put32(&b, HEADER_FIELD(refcount_order), order);
		put_bytes(&b, builder_cluster(&b, 2), widths[order], 48);
		assert_finds(0, 0);
	}
}

/* Every entry of a large L1 table refers to the same L2 table. */
static void repeated_tables_are_walked_once(void **state)
{
	struct builder many;
	struct builder saved = b;
	unsigned int i;

	(void)state;
	builder_create(&many, 3, 21, 1 << 21);
	builder_truncate(&many, 60ULL << 21);
	put32(&many, HEADER_FIELD(l1_size), QCOW2_MAX_L1_BYTES / 8);
	put64(&many, HEADER_FIELD(l1_table_offset), 20ULL << 21);
	for (i = 0; i < 100000; i++)
		put64(&many, (20ULL << 21) + 8 * i, 4ULL << 21);
	for (i = 20; i < 36; i++)
		put_refcount(&many, i, 1);
	b = many;
	/* The L2 table's refcount and flag; cluster 3 is free now. */
	assert_finds(2, 1);
	builder_destroy(&many);
	b = saved;
}

static void huge_sparse_files_take_little(void **state)
{
	(void)state;
	builder_truncate(&b, 1ULL << 43);
	assert_finds(0, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sound_image_is_clean),
		TEST(unreferenced_clusters_leak),
		TEST(too_small_refcounts_are_corruption),
		TEST(flags_must_agree_with_refcounts),
		TEST(compressed_clusters_count_once_each),
		TEST(bad_entries_are_corruption),
		TEST(tables_must_not_overlap),
		TEST(snapshots_share_tables),
		TEST(every_width_of_refcounts_is_understood),
		TEST(repeated_tables_are_walked_once),
		TEST(huge_sparse_files_take_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
