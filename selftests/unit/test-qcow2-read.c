// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading: compressed clusters at any place, ranges of any shape, backing chains, and
 * many threads.
 */
#include "qcow2-builder.h"
#include <errno.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdlib.h>
#include <zstd.h>

#define BITS 12
#define CLUSTER (1U << BITS)
#define SIZE (64 * CLUSTER)

static struct builder b;

static int setup(void **state)
{
	(void)state;
	builder_create(&b, 3, BITS, SIZE);
	builder_truncate(&b, 20ULL << BITS);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	builder_destroy(&b);
	return 0;
}

/* Content that does not repeat within a cluster, and depends on @seed. */
static uint8_t content(uint64_t offset, unsigned int seed)
{
	return (offset * 2654435761U >> 13) + seed * 37;
}

/* Put cluster @index, compressed, at @place; returns where it ends. */
static uint64_t put_compressed(unsigned int index, uint64_t place,
			       unsigned int seed, bool zstd)
{
	struct libdeflate_compressor *compressor =
		libdeflate_alloc_compressor(6);
	uint8_t plain[CLUSTER], packed[2 * CLUSTER];
	uint64_t last_sector;
	size_t length;
	unsigned int i;

	for (i = 0; i < CLUSTER; i++)
		plain[i] = i % 3 ? content(i, seed) : seed;
	length = zstd ? ZSTD_compress(packed, sizeof(packed), plain, CLUSTER, 3) :
		 libdeflate_deflate_compress(compressor, plain, CLUSTER, packed,
					     sizeof(packed));
	libdeflate_free_compressor(compressor);
	assert_in_range(length, 1, sizeof(packed));
	put_bytes(&b, place, packed, length);
	last_sector = (place + length - 1) / 512 - place / 512;
	put_l2(&b, index, QCOW2_OFLAG_COMPRESSED | place |
	       last_sector << QCOW2_COMPRESSED_SHIFT(BITS));
	return place + length;
}

static void assert_compressed(struct image *image, unsigned int index,
			      size_t from, size_t length, unsigned int seed)
{
	struct image_error err = { "" };
	uint8_t buffer[CLUSTER];
	size_t i;

	if (image_read(image, index * CLUSTER + from, buffer, length, &err))
		fail_msg("%s", err.message);
	for (i = 0; i < length; i++)
		assert_int_equal(buffer[i], (from + i) % 3 ?
				 content(from + i, seed) : seed);
}

static void use_zstd(void)
{
	put64(&b, HEADER_FIELD(incompatible_features),
	      QCOW2_INCOMPAT_COMPRESSION);
	put8(&b, HEADER_FIELD(compression_type), QCOW2_COMPRESSION_ZSTD);
}

static void read_compressed_of(bool zstd)
{
	struct image *image;
	uint64_t place = (5ULL << BITS) + 100;
	unsigned int i;

	/* Adjacent: they share sectors and cross cluster boundaries. */
	for (i = 0; i < 12; i++)
		place = put_compressed(i, place, i, zstd);
	image = builder_open(&b);
	for (i = 0; i < 12; i++) {
		assert_compressed(image, i, 0, CLUSTER, i);
		assert_compressed(image, i, 1, CLUSTER - 1, i);
		assert_compressed(image, i, 1000, 512, i);
		assert_compressed(image, i, CLUSTER - 1, 1, i);
	}
	image_close(image);
}

static void compressed_clusters_share_sectors(void **state)
{
	(void)state;
	read_compressed_of(false);
}

static void zstd_clusters_share_sectors(void **state)
{
	(void)state;
	use_zstd();
	read_compressed_of(true);
}

static void the_file_may_end_with_the_last_compressed_byte(void **state)
{
	struct image *image;
	uint64_t end;

	(void)state;
	end = put_compressed(3, (5ULL << BITS) + 300, 9, false);
	builder_truncate(&b, end);
	image = builder_open(&b);
	assert_compressed(image, 3, 0, CLUSTER, 9);
	image_close(image);
	/* With one byte less it is damaged. */
	builder_truncate(&b, end - 3);
	assert_unreadable(&b, 3 * CLUSTER, "does not decompress");
}

static void short_output_is_an_error(void **state)
{
	struct libdeflate_compressor *compressor =
		libdeflate_alloc_compressor(6);
	uint8_t plain[CLUSTER] = { 0 }, packed[512] = { 0 };

	(void)state;
	libdeflate_deflate_compress(compressor, plain, CLUSTER - 1, packed,
				    sizeof(packed));
	libdeflate_free_compressor(compressor);
	put_bytes(&b, 5ULL << BITS, packed, sizeof(packed));
	put_l2(&b, 0, QCOW2_OFLAG_COMPRESSED | 5ULL << BITS);
	assert_unreadable(&b, 0, "does not decompress");
}

static void zstd_in_several_frames(void **state)
{
	uint8_t plain[CLUSTER], packed[512] = { 0 };
	struct image *image;
	size_t first;

	(void)state;
	use_zstd();
	memset(plain, 3, sizeof(plain));
	first = ZSTD_compress(packed, sizeof(packed), plain, 1000, 1);
	ZSTD_compress(packed + first, sizeof(packed) - first, plain,
		      CLUSTER - 1000, 1);
	put_bytes(&b, 5ULL << BITS, packed, sizeof(packed));
	put_l2(&b, 0, QCOW2_OFLAG_COMPRESSED | 5ULL << BITS);
	image = builder_open(&b);
	assert_reads(image, 0, CLUSTER, 3);
	image_close(image);
}

static void ranges_outside_are_refused(void **state)
{
	struct image *image = builder_open(&b);
	struct image_extent extent;
	struct image_error err;
	uint8_t byte[2];

	(void)state;
	assert_int_equal(image_read(image, SIZE - 1, byte, 1, &err), 0);
	assert_int_equal(image_read(image, SIZE - 1, byte, 2, &err), -EINVAL);
	assert_int_equal(image_read(image, SIZE, byte, 1, &err), -EINVAL);
	assert_int_equal(image_read(image, UINT64_MAX, byte, 1, &err), -EINVAL);
	assert_int_equal(image_read(image, 0, byte, 0, &err), 0);
	assert_int_equal(image_map(image, SIZE, 1, &extent, &err), -EINVAL);
	assert_int_equal(image_map(image, 1, UINT64_MAX, &extent, &err),
			 -EINVAL);
	image_close(image);
}

static void extents_are_merged_and_cut(void **state)
{
	struct image_extent extent;
	struct image_error err;
	struct image *image;
	uint8_t bytes[2];

	(void)state;
	put_l2(&b, 1, 6ULL << BITS);
	put_l2(&b, 2, 7ULL << BITS);
	put_l2(&b, 3, 9ULL << BITS);
	put_cluster(&b, 7, 7);
	put_cluster(&b, 8, 8);
	put_cluster(&b, 9, 9);
	image = builder_open(&b);
	assert_int_equal(image_map(image, CLUSTER + 5, SIZE / 2, &extent, &err),
			 0);
	assert_int_equal(extent.offset, CLUSTER + 5);
	assert_int_equal(extent.length, 2 * CLUSTER - 5);
	assert_int_equal(extent.kind, IMAGE_EXTENT_DATA);
	assert_true(extent.has_file_offset);
	assert_int_equal(extent.file_offset, (6 << BITS) + 5);
	assert_int_equal(image_map(image, CLUSTER, 100, &extent, &err), 0);
	assert_int_equal(extent.length, 100);
	/* One read of both, which are adjacent only for the guest. */
	assert_int_equal(image_read(image, 3 * CLUSTER - 1, bytes, 2, &err), 0);
	assert_int_equal(bytes[0], 7);
	assert_int_equal(bytes[1], 9);
	image_close(image);
}

/* Clusters of 512 bytes: an L2 table covers 32 KiB, and most tables are missing. */
static void missing_l2_tables_are_skipped(void **state)
{
	struct image_extent extent;
	struct image_error err;
	struct builder small;
	struct image *image;

	(void)state;
	builder_create(&small, 3, 9, 60 * 32768);
	put32(&small, HEADER_FIELD(l1_size), 60);
	put_l1(&small, 0, 0);
	put_l1(&small, 40, 4 << 9);
	put_cluster(&small, 5, 5);
	put_l2(&small, 1, 5 << 9);
	image = builder_open(&small);
	assert_int_equal(image_map(image, 5, 59 * 32768, &extent, &err), 0);
	assert_int_equal(extent.length, 40 * 32768 + 512 - 5);
	assert_reads(image, 0, 40 * 32768 + 512, 0);
	assert_reads(image, 40 * 32768 + 512, 512, 5);
	assert_reads(image, 40 * 32768 + 1024, 19 * 32768, 0);
	image_close(image);
	builder_destroy(&small);
}

/* A temporary overlay of @b, with one cluster of its own. */
static void builder_overlay(struct builder *overlay, uint64_t size,
			    const char *backing, const char *format)
{
	builder_create(overlay, 3, BITS, size);
	if (format) {
		put32(overlay, 112, QCOW2_EXT_BACKING_FORMAT);
		put32(overlay, 116, strlen(format));
		put_bytes(overlay, 120, format, strlen(format));
	}
	put64(overlay, HEADER_FIELD(backing_file_offset), 200);
	put32(overlay, HEADER_FIELD(backing_file_size), strlen(backing));
	put_bytes(overlay, 200, backing, strlen(backing));
}

static void a_short_backing_ends_in_zeros(void **state)
{
	struct image_extent extent;
	struct image_error err;
	struct builder top;
	struct image *image;

	(void)state;
	put32(&b, HEADER_FIELD(size) + 4, 3 * CLUSTER - 512);
	put_cluster(&b, 6, 0x11);
	put_cluster(&b, 7, 0x11);
	put_l2(&b, 1, 6ULL << BITS);
	put_l2(&b, 2, 7ULL << BITS);
	builder_overlay(&top, SIZE, b.path, "qcow2");
	put_cluster(&top, 5, 0x22);
	put_l2(&top, 1, 5ULL << BITS);
	image = builder_open(&top);
	assert_reads(image, 0, CLUSTER, 0);
	assert_reads(image, CLUSTER, CLUSTER, 0x22);
	assert_reads(image, 2 * CLUSTER, CLUSTER - 512, 0x11);
	assert_reads(image, 3 * CLUSTER - 512, 512 + CLUSTER, 0);
	assert_int_equal(image_map(image, 2 * CLUSTER, CLUSTER, &extent, &err),
			 0);
	assert_int_equal(extent.depth, 1);
	assert_int_equal(extent.length, CLUSTER - 512);
	assert_int_equal(image_map(image, 2 * CLUSTER + extent.length, SIZE / 2,
				   &extent, &err), 0);
	assert_false(extent.allocated);
	assert_int_equal(extent.length, SIZE / 2);
	image_close(image);
	builder_destroy(&top);
}

static void a_stated_raw_backing_is_not_interpreted(void **state)
{
	struct builder top;
	struct image *image;
	uint8_t magic[4];
	struct image_error err;

	(void)state;
	builder_overlay(&top, SIZE, b.path, "raw");
	image = builder_open(&top);
	assert_int_equal(image_read(image, 0, magic, 4, &err), 0);
	assert_memory_equal(magic, "QFI\xfb", 4);
	image_close(image);
	builder_destroy(&top);
}

static void odd_sizes_become_whole_sectors(void **state)
{
	struct image_options raw = { .format = "raw" };
	struct image_error err;
	struct image *image;

	(void)state;
	put32(&b, HEADER_FIELD(size) + 4, 1000);
	image = builder_open(&b);
	assert_int_equal(image_size(image), 512);
	image_close(image);
	builder_truncate(&b, 1000);
	put8(&b, 999, 7);
	assert_int_equal(image_open(b.path, &raw, &image, &err), 0);
	assert_int_equal(image_size(image), 1024);
	assert_reads(image, 999, 1, 7);
	assert_reads(image, 1000, 24, 0);
	image_close(image);
}

static void *read_at_random(void *context)
{
	struct image *image = context;
	unsigned int seed = (unsigned int)(uintptr_t)&image;
	uint8_t buffer[3 * CLUSTER];
	struct image_error err;
	unsigned int i, j;

	for (i = 0; i < 3000; i++) {
		unsigned int at = rand_r(&seed) % (12 * CLUSTER);
		unsigned int length = 1 + rand_r(&seed) % sizeof(buffer);

		if (length > 12 * CLUSTER - at)
			length = 12 * CLUSTER - at;
		if (image_read(image, at, buffer, length, &err))
			return "read failed";
		for (j = 0; j < length; j++) {
			unsigned int in = (at + j) % CLUSTER;
			unsigned int index = (at + j) / CLUSTER;

			if (buffer[j] != (uint8_t)(in % 3 ? content(in, index) :
							    index))
				return "wrong content";
		}
	}
	return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
	uint64_t place = 5ULL << BITS;
	pthread_t threads[8];
	struct image *image;
	unsigned int i;
	void *failure;

	(void)state;
	for (i = 0; i < 12; i++)
		place = put_compressed(i, place, i, false);
	image = builder_open(&b);
	for (i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						read_at_random, image), 0);
	for (i = 0; i < 8; i++) {
		pthread_join(threads[i], &failure);
		if (failure)
			fail_msg("%s", (const char *)failure);
	}
	image_close(image);
}

static void bitmaps_are_described(void **state)
{
	const struct image_layer_info *info;
	struct image_error err = { "" };
	uint64_t directory = 6ULL << BITS;
	uint8_t entry[32];
	struct image *image;

	(void)state;
	put64(&b, HEADER_FIELD(autoclear_features), QCOW2_AUTOCLEAR_BITMAPS);
	put32(&b, 112, QCOW2_EXT_BITMAPS);
	put32(&b, 116, sizeof(struct qcow2_bitmaps_extension));
	put32(&b, 120, 1);
	put64(&b, 128, 32);
	put64(&b, 136, directory);
	put64(&b, directory, 7ULL << BITS);
	put32(&b, directory + 8, 1);
	put32(&b, directory + 12, QCOW2_BITMAP_AUTO);
	put8(&b, directory + 16, QCOW2_BITMAP_TYPE_DIRTY);
	put8(&b, directory + 17, 16);
	put16(&b, directory + 18, 3);
	put_bytes(&b, directory + 24, "abc", 3);
	image = builder_open(&b);
	assert_int_equal(image_describe(image, 0, &info, &err), 0);
	assert_int_equal(info->nr_bitmaps, 1);
	assert_string_equal(info->bitmaps[0].name, "abc");
	assert_int_equal(info->bitmaps[0].granularity, 65536);
	assert_true(info->bitmaps[0].is_auto);
	image_close(image);

	put16(&b, directory + 18, 9);
	image = builder_open(&b);
	assert_int_equal(image_describe(image, 0, &info, &err), 0);
	assert_int_equal(info->nr_bitmaps, 0);
	assert_non_null(strstr(info->bitmaps_problem,
			       "of the bitmap directory reaches past its end"));
	assert_reads(image, 0, CLUSTER, 0);
	image_close(image);

	/* Two with the same name are ambiguous. */
	put16(&b, directory + 18, 3);
	put32(&b, 120, 2);
	put64(&b, 128, 64);
	assert_int_equal(pread(b.fd, entry, sizeof(entry), directory), 32);
	put_bytes(&b, directory + 32, entry, sizeof(entry));
	image = builder_open(&b);
	assert_int_equal(image_describe(image, 0, &info, &err), 0);
	assert_int_equal(info->nr_bitmaps, 0);
	assert_non_null(strstr(info->bitmaps_problem, "two of that name"));
	image_close(image);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(compressed_clusters_share_sectors),
		TEST(zstd_clusters_share_sectors),
		TEST(the_file_may_end_with_the_last_compressed_byte),
		TEST(short_output_is_an_error),
		TEST(zstd_in_several_frames),
		TEST(ranges_outside_are_refused),
		TEST(extents_are_merged_and_cut),
		TEST(missing_l2_tables_are_skipped),
		TEST(a_short_backing_ends_in_zeros),
		TEST(a_stated_raw_backing_is_not_interpreted),
		TEST(odd_sizes_become_whole_sectors),
		TEST(threads_do_not_disturb_each_other),
		TEST(bitmaps_are_described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
