// SPDX-License-Identifier: GPL-2.0-only
/*
 * Entries of L1 and L2 tables, snapshot tables and chains: invalid ones are refused with
 * the reason, valid ones are read.
 */
#include "qcow2-builder.h"
#include "qcow2/foreign.h"
#include "qcow2/path.h"
#include <errno.h>
#include <stdlib.h>

#define BITS 16
#define MIB (1ULL << 20)

static struct builder b;

static int setup(void **state)
{
	(void)state;
	builder_create(&b, 3, BITS, MIB);
	put_cluster(&b, 5, 0x55);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	builder_destroy(&b);
	return 0;
}

static void fresh_image_reads_as_zeros(void **state)
{
	struct image *image = builder_open(&b);

	(void)state;
	assert_int_equal(image_size(image), MIB);
	assert_int_equal(image_cluster_size(image), 1U << BITS);
	assert_string_equal(image_format(image), "qcow2");
	assert_reads(image, 0, MIB, 0);
	image_close(image);
}

static void bad_l1_entries_are_refused(void **state)
{
	static const struct {
		uint64_t entry;
		const char *reason;
	} cases[] = {
		{ 4ULL << BITS | 1, "reserved bits set in L1" },
		{ 4ULL << BITS | 1ULL << 56, "reserved bits set in L1" },
		{ 4ULL << BITS | 1ULL << 62, "reserved bits set in L1" },
		{ (4ULL << BITS) + 512, "misaligned L2 table" },
		{ 6ULL << BITS, "L2 table beyond the end" },
		{ 0x00ffffffffff0000, "L2 table beyond the end" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_l1(&b, 0, cases[i].entry);
		assert_unreadable(&b, 0, cases[i].reason);
	}
}

static void bad_l2_entries_are_refused(void **state)
{
	static const struct {
		uint64_t entry;
		const char *reason;
	} cases[] = {
		{ 5ULL << BITS | 2, "reserved bits set in L2" },
		{ 5ULL << BITS | 256, "reserved bits set in L2" },
		{ 5ULL << BITS | 1ULL << 56, "reserved bits set in L2" },
		{ 5ULL << BITS | 1ULL << 61, "reserved bits set in L2" },
		{ (5ULL << BITS) + 512, "misaligned cluster" },
		{ (5ULL << BITS) + 512 + 1, "misaligned cluster" },
		{ 6ULL << BITS, "cluster beyond the end" },
		{ 0x00ffffffffff0000, "cluster beyond the end" },
		{ QCOW2_OFLAG_COMPRESSED | 6ULL << BITS, "beyond the end" },
		{ QCOW2_OFLAG_COMPRESSED | 0x003fffffffffffff,
		  "beyond the end" },
		{ QCOW2_OFLAG_COMPRESSED | 5ULL << BITS, "does not decompress" },
		{ ~0ULL, "beyond the end" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_l2(&b, 0, cases[i].entry);
		assert_unreadable(&b, 0, cases[i].reason);
		/* As a later part of a larger read, too. */
		put_l2(&b, 0, 0);
		put_l2(&b, 3, cases[i].entry);
		assert_unreadable(&b, 3ULL << BITS, cases[i].reason);
		put_l2(&b, 3, 0);
	}
}

static void small_clusters_have_reserved_offset_bits(void **state)
{
	struct builder small;

	(void)state;
	builder_create(&small, 3, 9, 512);
	put_l2(&small, 0, QCOW2_OFLAG_COMPRESSED | 1ULL << 56 | 512);
	assert_unreadable(&small, 0, "reserved bits set in compressed");
	builder_destroy(&small);
}

static void a_later_bad_entry_does_not_spoil_an_earlier_one(void **state)
{
	struct image_error err;
	struct image_extent extent;
	struct image *image;
	uint8_t byte;

	(void)state;
	put_l2(&b, 0, 5ULL << BITS);
	put_l2(&b, 1, 5ULL << BITS | 2);
	image = builder_open(&b);
	assert_int_equal(image_map(image, 0, MIB, &extent, &err), 0);
	assert_int_equal(extent.length, 1U << BITS);
	assert_reads(image, 0, 1U << BITS, 0x55);
	assert_int_equal(image_read(image, 1U << BITS, &byte, 1, &err), -EINVAL);
	image_close(image);
}

static void version_2_has_no_zero_flag(void **state)
{
	struct builder v2;

	(void)state;
	builder_create(&v2, 2, BITS, MIB);
	put_cluster(&v2, 5, 1);
	put_l2(&v2, 0, 5ULL << BITS | QCOW2_OFLAG_ZERO);
	assert_unreadable(&v2, 0, "zero flag");
	builder_destroy(&v2);
}

static void zero_clusters_hide_what_lies_below(void **state)
{
	struct image_extent extent;
	struct image_error err;
	struct image *image;

	(void)state;
	put_l2(&b, 0, QCOW2_OFLAG_ZERO);
	put_l2(&b, 1, 5ULL << BITS | QCOW2_OFLAG_ZERO | QCOW2_OFLAG_COPIED);
	put_l2(&b, 2, 5ULL << BITS);
	image = builder_open(&b);
	assert_int_equal(image_map(image, 0, MIB, &extent, &err), 0);
	assert_int_equal(extent.kind, IMAGE_EXTENT_ZERO);
	assert_int_equal(extent.length, 2ULL << BITS);
	assert_true(extent.allocated);
	assert_reads(image, 0, 2 << BITS, 0);
	assert_reads(image, 2 << BITS, 1 << BITS, 0x55);
	image_close(image);
}

/* Extended entries: 16 bytes each, 32 subclusters of 2 KiB. */
static void put_extended(unsigned int index, uint64_t entry, uint64_t bitmap)
{
	put64(&b, HEADER_FIELD(incompatible_features),
	      QCOW2_INCOMPAT_EXTENDED_L2);
	put_l2(&b, 2 * index, entry);
	put_l2(&b, 2 * index + 1, bitmap);
}

static void subclusters_are_told_apart(void **state)
{
	struct image_extent extent;
	struct image_error err;
	struct image *image;

	(void)state;
	put_extended(1, 5ULL << BITS, 1ULL << 33 | 0x80000001);
	image = builder_open(&b);
	assert_reads(image, 0, 1 << BITS, 0);
	assert_reads(image, 1 << BITS, 2048, 0x55);
	assert_reads(image, (1 << BITS) + 2048, (1 << BITS) - 4096, 0);
	assert_reads(image, (2 << BITS) - 2048, 2048, 0x55);
	assert_int_equal(image_map(image, (1 << BITS) + 2048, MIB / 2, &extent,
				   &err), 0);
	assert_int_equal(extent.length, 2048);
	assert_true(extent.allocated);
	assert_int_equal(image_map(image, (1 << BITS) + 4096, MIB / 2, &extent,
				   &err), 0);
	assert_int_equal(extent.length, 29 * 2048);
	assert_false(extent.allocated);
	assert_int_equal(image_map(image, (2 << BITS) - 1024, MIB / 2, &extent,
				   &err), 0);
	assert_int_equal(extent.length, 1024);
	assert_int_equal(extent.file_offset, (6 << BITS) - 1024);
	image_close(image);
}

static void contradictory_subclusters_are_refused(void **state)
{
	(void)state;
	put_extended(0, 5ULL << BITS, 1ULL << 33 | 2);
	assert_unreadable(&b, 0, "contradictory");
	put_extended(0, 0, 1);
	assert_unreadable(&b, 0, "contradictory");
	put_extended(0, 5ULL << BITS | QCOW2_OFLAG_ZERO, 1);
	assert_unreadable(&b, 0, "zero flag");
}

static void tables_must_lie_in_the_file(void **state)
{
	(void)state;
	put64(&b, HEADER_FIELD(l1_table_offset), 5ULL << BITS);
	builder_truncate(&b, 5ULL << BITS);
	assert_refused(&b, "L1 table reaches beyond");
	builder_truncate(&b, (5ULL << BITS) + 7);
	assert_refused(&b, "L1 table reaches beyond");
}

static void only_what_no_guest_sees_may_be_cut(void **state)
{
	struct image *image;

	(void)state;
	put_l2(&b, 0, 5ULL << BITS);
	builder_truncate(&b, (6ULL << BITS) - 1);
	assert_unreadable(&b, 0, "truncated");
	put64(&b, HEADER_FIELD(size), 1024);
	builder_truncate(&b, (5ULL << BITS) + 1024);
	image = builder_open(&b);
	assert_reads(image, 0, 1024, 0x55);
	image_close(image);
	builder_truncate(&b, (5ULL << BITS) + 1023);
	assert_unreadable(&b, 0, "truncated");
}

static void an_image_is_not_its_own_backing(void **state)
{
	(void)state;
	put64(&b, HEADER_FIELD(backing_file_offset), 200);
	put32(&b, HEADER_FIELD(backing_file_size), strlen(b.path));
	put_bytes(&b, 200, b.path, strlen(b.path));
	assert_refused(&b, "loop");
}

static void assert_backing_refused(const char *name, const char *reason)
{
	put64(&b, HEADER_FIELD(backing_file_offset), 200);
	put32(&b, HEADER_FIELD(backing_file_size), strlen(name));
	put_bytes(&b, 200, name, strlen(name));
	assert_refused(&b, reason);
}

static void only_files_are_backing(void **state)
{
	(void)state;
	assert_backing_refused("nbd://host/export", "not a plain file name");
	assert_backing_refused("json:{\"driver\":\"raw\"}",
			       "not a plain file name");
	assert_backing_refused("/", "neither a regular file");
	assert_backing_refused("/dev/null", "neither a regular file");
	assert_backing_refused("/nowhere/at/all", "/nowhere/at/all: cannot open");
	put32(&b, 112, QCOW2_EXT_BACKING_FORMAT);
	put32(&b, 116, 4);
	put_bytes(&b, 120, "vmdk", 4);
	assert_backing_refused("/proc/self/exe", "format 'vmdk'");
}

static void backing_names_start_from_the_overlay(void **state)
{
	static const struct {
		const char *name, *overlay, *path, *format;
	} cases[] = {
		{ "base", "top", "base", NULL },
		{ "base", "dir/top", "dir/base", NULL },
		{ "../base", "/a/b/top", "/a/b/../base", NULL },
		{ "/base", "/a/b/top", "/base", NULL },
		{ "./a:b", "/a/top", "/a/./a:b", NULL },
		{ "file:base", "/a/b/top", "base", NULL },
		{ "file:/x/base", "/a/b/top", "/x/base", NULL },
		{ "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/x/b\"}}",
		  "/a/top", "/x/b", "qcow2" },
		{ "json:{\"driver\":\"raw\",\"file.driver\":\"host_device\",\"file.filename\":\"/x\"}",
		  "/a/top", "/x", "raw" },
		{ "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"raw\",\"file\":{\"filename\":\"x\"}}}",
		  "/a/top", "x", "qcow2" },
		{ "json:{\"driver\":\"file\",\"filename\":\"nbd:x\",\"locking\":\"off\"}",
		  "/a/top", "nbd:x", "raw" },
		{ "json:{\"file\":{\"filename\":\"x\",\"cache\":{\"direct\":true}}}",
		  "/a/top", "x", NULL },
	};
	struct image_error err;
	const char *format;
	size_t i;
	char *path;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(path_of_backing(cases[i].name,
						 cases[i].overlay, &path,
						 &format, &err),
				 0);
		assert_string_equal(path, cases[i].path);
		if (cases[i].format)
			assert_string_equal(format, cases[i].format);
		else
			assert_null(format);
		free(path);
	}
}

static void json_names_of_other_things_are_refused(void **state)
{
	static const struct {
		const char *name, *why;
	} cases[] = {
		{ "json:", "no JSON object" },
		{ "json:[]", "no JSON object" },
		{ "json:{}", "names no file" },
		{ "json:{\"file\":\"node\"}", "names no file" },
		{ "json:{\"filename\":\"\"}", "names no file" },
		{ "json:{\"filename\":5}", "names no file" },
		{ "json:{\"filename\":\"x\",\"driver\":7}", "option driver" },
		{ "json:{\"driver\":\"null-co\"}", "driver null-co" },
		{ "json:{\"driver\":\"vmdk\",\"file\":{\"filename\":\"x\"}}",
		  "driver vmdk" },
		{ "json:{\"driver\":\"raw\",\"offset\":512,\"file\":{\"filename\":\"x\"}}",
		  "option offset" },
		{ "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"raw\",\"size\":512,\"file\":{\"filename\":\"x\"}}}",
		  "option file.size" },
		{ "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"qcow2\",\"file\":{\"filename\":\"x\"}}}",
		  "driver qcow2" },
		{ "json:{\"file\":{\"filename\":\"x\"},\"file.filename\":\"y\"}",
		  "given twice" },
		{ "json:{\"filename\":\"x\",\"backing\":{\"filename\":\"y\"}}",
		  "option backing.filename" },
		{ "json:{\"a\":{\"b\":{\"c\":{\"d\":1}}},\"filename\":\"x\"}", "too deep" },
	};
	struct image_error err;
	const char *format;
	char *path;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(path_of_backing(cases[i].name, "top", &path,
						 &format, &err),
				 -ENOTSUP);
		assert_non_null(strstr(err.message, cases[i].why));
	}
}

static void snapshot_tables_are_bounded(void **state)
{
	uint64_t table = 6ULL << BITS;

	(void)state;
	put32(&b, HEADER_FIELD(nb_snapshots), 1);
	put64(&b, HEADER_FIELD(snapshots_offset), table);
	builder_truncate(&b, table + 39);
	assert_refused(&b, "snapshot table reaches beyond");
	builder_truncate(&b, table + 40);
	image_close(builder_open(&b));
	put16(&b, table + 12, 1);
	assert_refused(&b, "snapshot table reaches beyond");
	put16(&b, table + 12, 0);
	put32(&b, table + 36, 1025);
	assert_refused(&b, "extra data");
	put32(&b, table + 36, 0xffffffff);
	assert_refused(&b, "extra data");
	put32(&b, table + 36, 0);
	put32(&b, HEADER_FIELD(nb_snapshots), 65536);
	assert_refused(&b, "snapshot table reaches beyond");
}

static void open_snapshot(const char *key, const char *reason)
{
	struct image_options options = { .snapshot = key };
	struct image_error err = { "" };
	struct image *image;

	if (image_open(b.path, &options, &image, &err)) {
		assert_non_null(strstr(err.message, reason));
		return;
	}
	assert_null(reason);
	image_close(image);
}

static void bad_snapshots_are_refused(void **state)
{
	uint64_t table = 6ULL << BITS;

	(void)state;
	put32(&b, HEADER_FIELD(nb_snapshots), 1);
	put64(&b, HEADER_FIELD(snapshots_offset), table);
	builder_truncate(&b, 7ULL << BITS);
	put64(&b, table, 3ULL << BITS);
	put32(&b, table + 8, 1);
	put16(&b, table + 12, 1);
	put16(&b, table + 14, 2);
	put_bytes(&b, table + 40, "7ab", 3);
	open_snapshot("7", NULL);
	open_snapshot("ab", NULL);
	open_snapshot("a", "no internal snapshot 'a'");
	/* The second one starts at the next multiple of 8. */
	put32(&b, HEADER_FIELD(nb_snapshots), 2);
	put64(&b, table + 48, 3ULL << BITS);
	put32(&b, table + 48 + 8, 1);
	put16(&b, table + 48 + 12, 1);
	put_bytes(&b, table + 48 + 40, "8", 1);
	open_snapshot("8", NULL);
	put32(&b, HEADER_FIELD(nb_snapshots), 1);
	put32(&b, table + 8, 0);
	open_snapshot("7", "too small");
	put32(&b, table + 8, 0xffffffff);
	open_snapshot("7", "too large");
	put32(&b, table + 8, 1);
	put64(&b, table, (3ULL << BITS) + 8);
	open_snapshot("7", "misaligned");
	put64(&b, table, 7ULL << BITS);
	open_snapshot("7", "beyond the end");
}

static void assert_described(const char *start, size_t bytes, int ret,
			     const char *wanted)
{
	struct host_file *file;
	struct image_error err;
	char what[64] = "";

	put_bytes(&b, 0, start, bytes);
	assert_int_equal(host_file_open(b.path, &file, &err), 0);
	assert_int_equal(foreign_describe(file, what, sizeof(what), &err), ret);
	assert_string_equal(what, wanted);
	host_file_close(file);
}

static void foreign_formats_are_described(void **state)
{
	(void)state;
	assert_described("KDMV", 4, -EEXIST, "disk image (vmdk)");
	assert_described("\x1f\x8b\x08", 3, -EEXIST, "file compressed with gzip");
	assert_described("PK\3\4", 4, -EEXIST, "file, a zip archive");
	assert_described("xxxx", 4, 0, "");
}

static void foreign_formats_are_not_read_as_raw(void **state)
{
	struct image_options raw = { .format = "raw" };
	struct image_error err;
	struct image *image;

	(void)state;
	put_bytes(&b, 0, "KDMV", 4);
	assert_refused(&b, "vmdk");
	assert_int_equal(image_open(b.path, &raw, &image, &err), 0);
	assert_string_equal(image_format(image), "raw");
	image_close(image);
	/* The guest encrypts its whole disk. */
	put_bytes(&b, 0, "LUKS\xba\xbe", 6);
	image = builder_open(&b);
	assert_string_equal(image_format(image), "raw");
	image_close(image);
	put_bytes(&b, 0, "xxxxxx", 6);
	image = builder_open(&b);
	assert_string_equal(image_format(image), "raw");
	image_close(image);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fresh_image_reads_as_zeros),
		TEST(bad_l1_entries_are_refused),
		TEST(bad_l2_entries_are_refused),
		TEST(small_clusters_have_reserved_offset_bits),
		TEST(a_later_bad_entry_does_not_spoil_an_earlier_one),
		TEST(version_2_has_no_zero_flag),
		TEST(zero_clusters_hide_what_lies_below),
		TEST(subclusters_are_told_apart),
		TEST(contradictory_subclusters_are_refused),
		TEST(tables_must_lie_in_the_file),
		TEST(only_what_no_guest_sees_may_be_cut),
		TEST(an_image_is_not_its_own_backing),
		TEST(only_files_are_backing),
		TEST(backing_names_start_from_the_overlay),
		TEST(json_names_of_other_things_are_refused),
		TEST(snapshot_tables_are_bounded),
		TEST(bad_snapshots_are_refused),
		TEST(foreign_formats_are_described),
		TEST(foreign_formats_are_not_read_as_raw),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
