// SPDX-License-Identifier: GPL-2.0-only
/*
 * The header parser accepts what the format allows, and refuses everything else with the
 * reason.
 */
#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "qcow2/qcow2-header.h"

#define CLUSTER_BITS 16
#define CLUSTER (1U << CLUSTER_BITS)

static uint8_t header[CLUSTER];
static struct qcow2_header_info info;
static struct image_error err;

#define FIELD(field) offsetof(struct qcow2_header, field)

static void put32(size_t at, uint32_t value)
{
	value = htobe32(value);
	memcpy(header + at, &value, sizeof(value));
}

static void put64(size_t at, uint64_t value)
{
	value = htobe64(value);
	memcpy(header + at, &value, sizeof(value));
}

/* Returns where the next extension goes. */
static size_t put_extension(size_t at, uint32_t type, const void *data,
			    size_t length)
{
	put32(at, type);
	put32(at + 4, length);
	memcpy(header + at + 8, data, length);
	return at + 8 + (length + 7) / 8 * 8;
}

static int setup(void **state)
{
	(void)state;
	memset(header, 0, sizeof(header));
	put32(FIELD(magic), QCOW2_MAGIC);
	put32(FIELD(version), 3);
	put32(FIELD(cluster_bits), CLUSTER_BITS);
	put64(FIELD(size), 10ULL << 30);
	put32(FIELD(l1_size), 20);
	put64(FIELD(l1_table_offset), 3 * CLUSTER);
	put64(FIELD(refcount_table_offset), CLUSTER);
	put32(FIELD(refcount_table_clusters), 1);
	put32(FIELD(refcount_order), 4);
	put32(FIELD(header_length), 112);
	return 0;
}

static int parse(bool force)
{
	err.message[0] = 0;
	return qcow2_header_parse(header, sizeof(header), "x.qcow2", force,
				  &info, &err);
}

static void assert_taken(void)
{
	if (parse(false))
		fail_msg("%s", err.message);
}

static void assert_refused(int code, const char *reason)
{
	assert_int_equal(parse(false), code);
	if (!strstr(err.message, reason) || !strstr(err.message, "x.qcow2"))
		fail_msg("'%s' does not say '%s'", err.message, reason);
}

static void takes_versions_2_and_3(void **state)
{
	(void)state;
	assert_taken();
	assert_int_equal(info.version, 3);
	assert_int_equal(info.cluster_bits, CLUSTER_BITS);
	assert_int_equal(info.size_bytes, 10ULL << 30);
	assert_int_equal(info.l1_entries, 20);
	assert_null(info.backing_name);
	qcow2_header_release(&info);

	put32(FIELD(version), 2);
	memset(header + 72, 0, 40);
	assert_taken();
	assert_int_equal(info.refcount_order, 4);
	assert_int_equal(info.header_bytes, 72);
	qcow2_header_release(&info);
}

static void refuses_bad_fields(void **state)
{
	static const struct {
		size_t at;
		unsigned int bytes;
		uint64_t value;
		int code;
		const char *reason;
	} cases[] = {
		{ FIELD(magic), 4, 0x514649fa, -EINVAL, "not a qcow2" },
		{ FIELD(version), 4, 1, -EINVAL, "not a qcow2" },
		{ FIELD(version), 4, 4, -ENOTSUP, "version 4" },
		{ FIELD(cluster_bits), 4, 8, -EINVAL, "cluster size" },
		{ FIELD(cluster_bits), 4, 22, -EINVAL, "cluster size" },
		{ FIELD(cluster_bits), 4, 0xffffffff, -EINVAL, "cluster size" },
		{ FIELD(crypt_method), 4, 1, -ENOTSUP, "encrypted (AES)" },
		{ FIELD(crypt_method), 4, 2, -ENOTSUP, "encrypted (LUKS)" },
		{ FIELD(crypt_method), 4, 3, -ENOTSUP, "encrypted" },
		{ FIELD(header_length), 4, 96, -EINVAL, "header length" },
		{ FIELD(header_length), 4, 108, -EINVAL, "header length" },
		{ FIELD(header_length), 4, 0xfffffff8, -EINVAL, "header length" },
		{ FIELD(l1_size), 4, 19, -EINVAL, "too small" },
		{ FIELD(l1_size), 4, 0x400001, -EFBIG, "too large" },
		{ FIELD(l1_table_offset), 8, 3 * CLUSTER + 512, -EINVAL,
		  "misaligned" },
		{ FIELD(l1_table_offset), 8, ~0ULL << CLUSTER_BITS, -EINVAL,
		  "outside" },
		{ FIELD(size), 8, ~0ULL, -EINVAL, "too small" },
		{ FIELD(refcount_table_clusters), 4, 0, -EINVAL,
		  "no refcount table" },
		{ FIELD(refcount_table_clusters), 4, 129, -EFBIG, "too large" },
		{ FIELD(refcount_table_offset), 8, 1, -EINVAL, "misaligned" },
		{ FIELD(refcount_order), 4, 7, -EINVAL, "refcounts" },
		{ FIELD(nb_snapshots), 4, 65537, -EFBIG, "too large" },
		{ FIELD(incompatible_features), 8, QCOW2_INCOMPAT_CORRUPT,
		  -EUCLEAN, "marked corrupt" },
		{ FIELD(incompatible_features), 8, QCOW2_INCOMPAT_DATA_FILE,
		  -EINVAL, "data file" },
		{ FIELD(incompatible_features), 8, QCOW2_INCOMPAT_COMPRESSION,
		  -EINVAL, "compression type" },
		{ FIELD(compression_type), 1, 1, -EINVAL, "compression type" },
		{ FIELD(compression_type), 1, 2, -ENOTSUP, "compression type" },
		{ FIELD(autoclear_features), 8, QCOW2_AUTOCLEAR_DATA_FILE_RAW,
		  -EINVAL, "raw data file" },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setup(state);
		if (cases[i].bytes == 1)
			header[cases[i].at] = cases[i].value;
		else if (cases[i].bytes == 4)
			put32(cases[i].at, cases[i].value);
		else
			put64(cases[i].at, cases[i].value);
		assert_refused(cases[i].code, cases[i].reason);
	}
}

static void snapshot_table_is_checked_if_there_is_one(void **state)
{
	(void)state;
	put64(FIELD(snapshots_offset), 5);
	assert_taken();
	qcow2_header_release(&info);
	put32(FIELD(nb_snapshots), 1);
	assert_refused(-EINVAL, "misaligned");
}

static void corrupt_mark_can_be_forced(void **state)
{
	(void)state;
	put64(FIELD(incompatible_features),
	      QCOW2_INCOMPAT_CORRUPT | QCOW2_INCOMPAT_DIRTY);
	assert_int_equal(parse(true), 0);
	qcow2_header_release(&info);
}

static void extended_l2_needs_large_clusters(void **state)
{
	(void)state;
	put64(FIELD(incompatible_features), QCOW2_INCOMPAT_EXTENDED_L2);
	/* Entries of 16 bytes: half as many per L2 table. */
	assert_refused(-EINVAL, "too small");
	put32(FIELD(l1_size), 40);
	assert_taken();
	qcow2_header_release(&info);
	put32(FIELD(cluster_bits), 13);
	assert_refused(-EINVAL, "extended L2");
}

static void unknown_features_are_named(void **state)
{
	struct qcow2_feature_name names[3] = {
		{ QCOW2_FEATURE_COMPATIBLE, 40, "not this one" },
		{ QCOW2_FEATURE_INCOMPATIBLE, 40, "time travel" },
		{ QCOW2_FEATURE_INCOMPATIBLE, 41, "" },
	};

	(void)state;
	memset(names[2].name, 'x', sizeof(names[2].name));
	put64(FIELD(incompatible_features), 7ULL << 40);
	put_extension(112, QCOW2_EXT_FEATURE_NAMES, names, sizeof(names));
	assert_refused(-ENOTSUP, "time travel, xxxxx");
	assert_non_null(strstr(err.message, "x, bit 42"));
	/* The table may be wrong: then only numbers are printed. */
	put32(116, 0x7fffffff);
	assert_refused(-ENOTSUP, "bit 40, bit 41, bit 42");
	put64(FIELD(incompatible_features), ~0ULL);
	assert_refused(-ENOTSUP, "bit 5, bit 6, bit 7");
}

static void names_come_from_the_extensions(void **state)
{
	size_t at = 112;

	(void)state;
	put64(FIELD(incompatible_features), QCOW2_INCOMPAT_DATA_FILE);
	at = put_extension(at, 0x12345678, "unknown", 7);
	at = put_extension(at, QCOW2_EXT_BACKING_FORMAT, "qcow2", 5);
	at = put_extension(at, QCOW2_EXT_DATA_FILE, "data\0junk", 9);
	put64(FIELD(backing_file_offset), at + 8);
	put32(FIELD(backing_file_size), 9);
	memcpy(header + at + 8, "base.imgX", 9);
	assert_taken();
	assert_string_equal(info.backing_format, "qcow2");
	assert_string_equal(info.data_file_name, "data");
	assert_string_equal(info.backing_name, "base.imgX");
	qcow2_header_release(&info);
}

static void extensions_keep_to_their_area(void **state)
{
	size_t at = 112;

	(void)state;
	/* Up to the backing file's name, without an end mark. */
	at = put_extension(at, QCOW2_EXT_BACKING_FORMAT, "raw", 3);
	put64(FIELD(backing_file_offset), at);
	put32(FIELD(backing_file_size), 4);
	memcpy(header + at, "base", 4);
	assert_taken();
	assert_string_equal(info.backing_format, "raw");
	qcow2_header_release(&info);
	/* One byte into it, half a header, and far beyond. */
	put32(116, 9);
	assert_refused(-EINVAL, "extension");
	put32(116, 3);
	put64(FIELD(backing_file_offset), at + 4);
	assert_refused(-EINVAL, "extension");
	put64(FIELD(backing_file_offset), at);
	put32(116, 0xffffffff);
	assert_refused(-EINVAL, "extension");
	put32(116, 0xfffffff9);
	assert_refused(-EINVAL, "extension");
}

static void backing_name_keeps_to_the_first_cluster(void **state)
{
	(void)state;
	put64(FIELD(backing_file_offset), CLUSTER - 100);
	put32(FIELD(backing_file_size), 100);
	memset(header + CLUSTER - 100, 'n', 100);
	assert_taken();
	assert_int_equal(strlen(info.backing_name), 100);
	qcow2_header_release(&info);
	put32(FIELD(backing_file_size), 101);
	assert_refused(-EINVAL, "out of bounds");
	put64(FIELD(backing_file_offset), CLUSTER + 1);
	assert_refused(-EINVAL, "out of bounds");
	put64(FIELD(backing_file_offset), ~0ULL);
	assert_refused(-EINVAL, "out of bounds");
	put64(FIELD(backing_file_offset), 64);
	assert_refused(-EINVAL, "out of bounds");
	put64(FIELD(backing_file_offset), 1000);
	put32(FIELD(backing_file_size), 1024);
	assert_refused(-EINVAL, "out of bounds");
	put32(FIELD(backing_file_size), 0);
	assert_taken();
	assert_null(info.backing_name);
	qcow2_header_release(&info);
}

static void extensions_stand_once(void **state)
{
	size_t at = 112;

	(void)state;
	at = put_extension(at, QCOW2_EXT_BACKING_FORMAT, "raw", 3);
	put_extension(at, QCOW2_EXT_BACKING_FORMAT, "qcow2", 5);
	assert_refused(-EINVAL, "twice");
}

/* The image is accepted without its bitmaps, with the reason. */
static void assert_no_bitmaps(const char *why)
{
	assert_taken();
	assert_false(info.has_bitmaps);
	assert_int_equal(info.nr_bitmaps, 0);
	assert_non_null(info.bitmaps_problem);
	assert_non_null(strstr(info.bitmaps_problem, why));
	qcow2_header_release(&info);
}

static void bitmaps_extension_is_checked(void **state)
{
	struct qcow2_bitmaps_extension extension = {
		.nb_bitmaps = htobe32(2),
		.bitmap_directory_size = htobe64(64),
		.bitmap_directory_offset = htobe64(CLUSTER * 7),
	};

	(void)state;
	put_extension(112, QCOW2_EXT_BITMAPS, &extension, sizeof(extension));
	assert_taken();
	assert_false(info.has_bitmaps);
	qcow2_header_release(&info);
	put64(FIELD(autoclear_features), QCOW2_AUTOCLEAR_BITMAPS);
	assert_taken();
	assert_true(info.has_bitmaps);
	assert_int_equal(info.nr_bitmaps, 2);
	qcow2_header_release(&info);

	header[112 + 8 + 4] = 1;
	assert_no_bitmaps("bitmaps extension");
	header[112 + 8 + 4] = 0;
	put32(112 + 8, 0);
	assert_no_bitmaps("bitmaps extension");
	put32(112 + 8, QCOW2_MAX_BITMAPS + 1);
	assert_no_bitmaps("bitmaps extension");
	put32(112 + 8, 2);
	put64(112 + 16, QCOW2_MAX_BITMAP_DIRECTORY_BYTES + 1);
	assert_no_bitmaps("bitmap directory");
	put64(112 + 16, 64);
	put64(112 + 24, CLUSTER * 7 + 8);
	assert_no_bitmaps("bitmap directory");
	put32(116, 23);
	assert_no_bitmaps("bitmaps extension");
}

static void every_short_header_is_refused(void **state)
{
	uint8_t *exact;
	size_t length;

	(void)state;
	put64(FIELD(incompatible_features), 1ULL << 50);
	put_extension(112, QCOW2_EXT_FEATURE_NAMES, header, 96);
	/* Allocated with the exact size, so that the sanitizer detects reads beyond. */
	for (length = 0; length < 256; length++) {
		exact = malloc(length + !length);
		assert_non_null(exact);
		memcpy(exact, header, length);
		assert_int_not_equal(qcow2_header_parse(exact, length,
							"x.qcow2", false,
							&info, &err), 0);
		free(exact);
	}
}

static void names_do_not_drive_the_terminal(void **state)
{
	struct qcow2_feature_name name = {
		QCOW2_FEATURE_INCOMPATIBLE, 40, "a\033[2Jb\nc"
	};

	(void)state;
	put64(FIELD(incompatible_features), 1ULL << 40);
	put_extension(112, QCOW2_EXT_FEATURE_NAMES, &name, sizeof(name));
	assert_refused(-ENOTSUP, "a?[2Jb?c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(takes_versions_2_and_3, setup),
		cmocka_unit_test_setup(refuses_bad_fields, setup),
		cmocka_unit_test_setup(snapshot_table_is_checked_if_there_is_one,
				       setup),
		cmocka_unit_test_setup(corrupt_mark_can_be_forced, setup),
		cmocka_unit_test_setup(extended_l2_needs_large_clusters, setup),
		cmocka_unit_test_setup(unknown_features_are_named, setup),
		cmocka_unit_test_setup(names_come_from_the_extensions, setup),
		cmocka_unit_test_setup(extensions_keep_to_their_area, setup),
		cmocka_unit_test_setup(backing_name_keeps_to_the_first_cluster,
				       setup),
		cmocka_unit_test_setup(extensions_stand_once, setup),
		cmocka_unit_test_setup(bitmaps_extension_is_checked, setup),
		cmocka_unit_test_setup(every_short_header_is_refused, setup),
		cmocka_unit_test_setup(names_do_not_drive_the_terminal, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
