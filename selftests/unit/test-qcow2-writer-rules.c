// SPDX-License-Identifier: GPL-2.0-only
/*
 * The writer's rules: refusals, failures, requirements of the format, and the use of
 * memory.
 */
#include "writer-rules.h"

#include <endian.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <zlib.h>

#include "qcow2-format.h"
#include "qcow2/compress.h"
#include "qcow2/qcow2-header.h"
#include "qcow2/qcow2-writer.h"

#define OUR_TYPE 0x646d7478

static int put(struct writer *writer, bool zero, uint64_t cluster,
	       uint64_t count, struct image_error *err)
{
	if (zero)
		return writer_zero(writer, cluster * CLUSTER, count * CLUSTER, err);
	return writer_write(writer, cluster * CLUSTER, data, count * CLUSTER, err);
}

static void nothing_is_written_twice(void **state)
{
	struct image_error err = { "" };
	struct writer *writer;
	unsigned int i;

	(void)state;
	/* Zero or data first, then zero or data, in both formats. */
	for (i = 0; i < 8; i++) {
		/* In a table that has been written out... */
		writer = must_create("image", both[i & 1]);
		assert_int_equal(put(writer, i & 2, 0, SIZE / CLUSTER, &err), 0);
		assert_int_equal(put(writer, i & 4, 3, 1, &err), -EINVAL);
		assert_non_null(strstr(err.message, "written twice"));
		writer_abort(writer);

		/* ... and in one that has not. */
		writer = must_create("image", both[i & 1]);
		assert_int_equal(put(writer, i & 2, 3, 1, &err), 0);
		assert_int_equal(put(writer, i & 4, 0, 4, &err), -EINVAL);
		assert_non_null(strstr(err.message, "written twice"));
		writer_abort(writer);
	}
}

static void a_failure_is_final(void **state)
{
	struct image_error err = { "" };
	struct writer *writer;
	unsigned int i;

	(void)state;
	for (i = 0; i < NR_OF(both); i++) {
		writer = must_create("image", both[i]);
		assert_int_equal(writer_write(writer, 1, data, CLUSTER, NULL),
				 -EINVAL);
		assert_int_equal(writer_write(writer, 0, data, CLUSTER, &err),
				 -EINVAL);
		assert_non_null(strstr(err.message, "no whole clusters"));
		assert_int_equal(writer_zero(writer, 0, CLUSTER, &err), -EINVAL);
		err.message[0] = 0;
		assert_int_equal(writer_finish(writer, &err), -EINVAL);
		assert_non_null(strstr(err.message, "no whole clusters"));
		assert_false(exists("image"));
		assert_false(exists("image.partial"));
	}
}

static void only_whole_clusters_within_the_disk(void **state)
{
	static const struct {
		uint64_t offset, length;
		int ret;
	} cases[] = {
		{ 512, CLUSTER, -EINVAL }, { 0, 512, -EINVAL },
		{ SIZE, CLUSTER, -EINVAL }, { SIZE - CLUSTER, 2 * CLUSTER, -EINVAL },
		{ UINT64_MAX - CLUSTER + 1, CLUSTER, -EINVAL },
		{ UINT64_MAX - CLUSTER + 1, 2 * CLUSTER, -EINVAL },
		{ 0, UINT64_MAX - 512 + 1, -EINVAL },
		{ SIZE, 0, 0 }, { 0, 0, 0 },
		{ SIZE - CLUSTER, CLUSTER, 0 }, { SIZE - CLUSTER, CLUSTER - 512, -EINVAL },
	};
	struct writer *writer;
	unsigned int i;

	(void)state;
	for (i = 0; i < NR_OF(cases) * NR_OF(both); i++) {
		writer = must_create("image", both[i % NR_OF(both)]);
		assert_int_equal(writer_zero(writer,
					     cases[i / NR_OF(both)].offset,
					     cases[i / NR_OF(both)].length, NULL),
				 cases[i / NR_OF(both)].ret);
		writer_abort(writer);
	}
}

static void wrong_options_are_refused(void **state)
{
	char name[2000];
	const struct {
		struct writer_options options;
		int ret;
	} cases[] = {
		{ { .size_bytes = 1000 }, -EINVAL },
		{ { .size_bytes = SIZE, .cluster_bytes = 256 }, -EINVAL },
		{ { .size_bytes = SIZE, .cluster_bytes = 3000 }, -EINVAL },
		{ { .size_bytes = SIZE, .cluster_bytes = 4 << 20 }, -EINVAL },
		{ { .size_bytes = SIZE, .level = 1 }, -EINVAL },
		{ { .size_bytes = SIZE, .compression = WRITER_ZLIB, .level = 10 }, -EINVAL },
		{ { .size_bytes = SIZE, .compression = WRITER_ZSTD, .level = -1 }, -EINVAL },
		{ { .size_bytes = SIZE, .backing_file = "a" }, -EINVAL },
		{ { .size_bytes = SIZE, .backing_format = "raw" }, -EINVAL },
		{ { .size_bytes = SIZE, .backing_file = name, .backing_format = "raw" },
		  -ENAMETOOLONG },
		{ { .size_bytes = SIZE, .cluster_bytes = 512, .backing_file = name + 1500,
		    .backing_format = "raw" }, -ENAMETOOLONG },
		{ { .size_bytes = 129ULL << 30, .cluster_bytes = 512 }, -EFBIG },
		{ { .size_bytes = 1ULL << 62 }, -EFBIG },
		{ { .format = WRITER_RAW, .size_bytes = SIZE, .compression = WRITER_ZLIB },
		  -EINVAL },
		{ { .format = WRITER_RAW, .size_bytes = SIZE, .backing_file = "a",
		    .backing_format = "raw" }, -EINVAL },
	};
	struct image_error err;
	struct writer *writer;
	unsigned int i;

	(void)state;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = 0;
	for (i = 0; i < NR_OF(cases); i++) {
		err.message[0] = 0;
		assert_int_equal(writer_create("image", &cases[i].options, &writer, &err),
				 cases[i].ret);
		assert_ptr_equal(strstr(err.message, "image: "), err.message);
		assert_false(exists("image.partial"));
	}
}

static void texts_of_options(void **state)
{
	static const struct {
		const char *text;
		int ret;
		enum writer_compression compression;
		int level;
	} cases[] = {
		{ "none", 0, WRITER_PLAIN, 0 }, { "zlib", 0, WRITER_ZLIB, 0 },
		{ "zlib:9", 0, WRITER_ZLIB, 9 }, { "zstd:22", 0, WRITER_ZSTD, 22 },
		{ "zlib:10", -EINVAL, 0, 0 }, { "zlib:0", -EINVAL, 0, 0 },
		{ "zlib:", -EINVAL, 0, 0 }, { "none:1", -EINVAL, 0, 0 },
		{ "zst", -EINVAL, 0, 0 }, { "", -EINVAL, 0, 0 }, { "zstd ", -EINVAL, 0, 0 },
	};
	struct writer_options options;
	unsigned int i;

	(void)state;
	for (i = 0; i < NR_OF(cases); i++) {
		options = (struct writer_options) { 0 };
		assert_int_equal(writer_parse_compression(cases[i].text, &options),
				 cases[i].ret);
		assert_int_equal(options.compression, cases[i].compression);
		assert_int_equal(options.level, cases[i].level);
	}
	assert_int_equal(writer_parse_format("raw", &options), 0);
	assert_int_equal(options.format, WRITER_RAW);
	assert_int_equal(writer_parse_format("qcow2", &options), 0);
	assert_int_equal(options.format, WRITER_QCOW2);
	assert_int_equal(writer_parse_format("qcow", &options), -EINVAL);
}

static void extensions_have_to_fit(void **state)
{
	struct writer_options options = plain;
	char start[512], big[400] = "big", small[16] = "small";
	struct writer *writer;
	int fd;

	(void)state;
	options.cluster_bytes = 512;
	writer = must_create("image", &options);
	assert_int_equal(writer_set_extension(writer, OUR_TYPE, big, 400, NULL), -E2BIG);
	/* 512 less the header, its own head and the end mark. */
	assert_int_equal(writer_set_extension(writer, OUR_TYPE, big, 384, NULL), 0);
	assert_int_equal(writer_set_extension(writer, OUR_TYPE + 1, small, 1, NULL), -E2BIG);
	assert_int_equal(writer_set_extension(writer, OUR_TYPE, small, 16, NULL), 0);
	assert_int_equal(writer_set_extension(writer, OUR_TYPE + 1, small, 0, NULL), 0);
	assert_int_equal(writer_set_extension(writer, QCOW2_EXT_BITMAPS, small, 1, NULL),
			 -EINVAL);
	assert_int_equal(writer_set_extension(writer, OUR_TYPE, big, SIZE_MAX, NULL), -E2BIG);
	must_finish(writer);
	fd = open("image", O_RDONLY);
	assert_int_equal(read(fd, start, sizeof(start)), sizeof(start));
	close(fd);
	assert_non_null(memmem(start, sizeof(start), "small", 5));
	assert_null(memmem(start, sizeof(start), "big", 3));
	writer = must_create("raw", &raw);
	assert_int_equal(writer_set_extension(writer, OUR_TYPE, small, 1, NULL), -EINVAL);
	must_finish(writer);
}

/*
 * Matches must not reach back further than 4 KiB, since zlib keeps no more when it
 * unpacks in small pieces.
 */
static void deflate_keeps_to_its_window(void **state)
{
	struct compressor_pool *pool = compressor_pool_create(WRITER_ZLIB, 9, 65536);
	struct compressor *compressor = compressor_get(pool);
	static char plain_text[65536], packed[65536], unpacked[65536];
	z_stream stream = { 0 };
	struct rng rng = rng_new(0);
	size_t i, step = 1024;
	int ret = Z_OK;

	(void)state;
	/* Noise that repeats after 6000 bytes, so that far matches would be used. */
	for (i = 0; i < sizeof(plain_text); i++)
		plain_text[i] = i < 6000 ? (char)(rng_next(&rng) >> 60) :
					   plain_text[i - 6000];
	stream.next_in = (void *)packed;
	stream.avail_in = compressor_run(compressor, plain_text, packed, 65535);
	assert_in_range(stream.avail_in, 1, 65535);
	assert_int_equal(inflateInit2(&stream, -12), Z_OK);
	for (i = 0; ret == Z_OK && i < sizeof(unpacked); i += step) {
		stream.next_out = (void *)(unpacked + i);
		stream.avail_out = step;
		ret = inflate(&stream, Z_SYNC_FLUSH);
	}
	assert_int_equal(ret, Z_STREAM_END);
	assert_memory_equal(unpacked, plain_text, sizeof(unpacked));
	inflateEnd(&stream);
	compressor_put(pool, compressor);
	compressor_pool_destroy(pool);
}

static uint64_t read64(int fd, uint64_t offset)
{
	uint64_t value;

	assert_int_equal(pread(fd, &value, sizeof(value), offset), sizeof(value));
	return be64toh(value);
}

/* No cluster beyond the end counts as used: a check would not find it. */
static void refcounts_end_with_the_file(void **state)
{
	uint64_t table, block, used = 0;
	uint16_t counts[CLUSTER / 2];
	struct writer *writer;
	struct stat st;
	unsigned int i;
	int fd;

	(void)state;
	writer = must_create("image", &plain);
	must_write(writer, 0, data, SIZE);
	must_finish(writer);
	fd = open("image", O_RDONLY);
	assert_false(fstat(fd, &st));
	table = read64(fd, offsetof(struct qcow2_header, refcount_table_offset));
	block = read64(fd, table);
	assert_int_equal(read64(fd, table + 8), 0);
	assert_int_equal(pread(fd, counts, sizeof(counts), block), sizeof(counts));
	close(fd);
	for (i = 0; i < NR_OF(counts); i++)
		used += be16toh(counts[i]);
	assert_int_equal(used * CLUSTER, st.st_size);
}

/* A limit of the file size in place of a full disk. */
static void a_full_disk_is_reported(void **state)
{
	struct rlimit old, limit;
	struct image_error err;
	struct writer *writer;
	unsigned int i;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_false(getrlimit(RLIMIT_FSIZE, &old));
	limit = old;
	for (i = 0; i < 2; i++) {
		struct writer_options options = plain;

		/* The disk is full while data is written, or at the end. */
		limit.rlim_cur = i ? 3 << 20 : SIZE / 2;
		assert_false(setrlimit(RLIMIT_FSIZE, &limit));
		options.compression = i ? WRITER_ZLIB : WRITER_PLAIN;
		options.cluster_bytes = i ? 512 * CLUSTER : CLUSTER;
		options.size_bytes = 1ULL << 40;
		writer = must_create("image", &options);
		err.message[0] = 0;
		if (i)
			must_write(writer, 0, data, 512 * CLUSTER);
		else
			assert_int_equal(writer_write(writer, 0, data, SIZE, &err),
					 -EFBIG);
		assert_int_equal(writer_finish(writer, &err), -EFBIG);
		assert_non_null(strstr(err.message, "image: cannot write: "));
		assert_false(exists("image"));
		assert_false(exists("image.partial"));
	}
	assert_false(setrlimit(RLIMIT_FSIZE, &old));
}

/* Complete tables are not kept in memory. */
static void tables_are_forgotten(void **state)
{
	const struct output_options options = { .replace = false };
	struct image_error err = { "" };
	struct qcow2_space space;
	struct qcow2_map map;
	struct output *output;
	unsigned int i;

	(void)state;
	assert_int_equal(output_open("image", &options, &output, &err), 0);
	space_init(&space, output, 12);
	assert_int_equal(map_init(&map, &space, SIZE, false, &err), 0);
	assert_int_equal(map.nr_l1, 2);
	for (i = 0; i < 511; i++)
		assert_int_equal(map_set_data(&map, i, 1, 1ULL << 20, &err), 0);
	assert_non_null(map.l2[0].entries);
	assert_int_equal(map_set_zero(&map, 511, 1, &err), 0);
	assert_null(map.l2[0].entries);
	assert_int_not_equal(map.l1[0], 0);
	/* The last table has fewer clusters. Zeros alone need no table. */
	assert_int_equal(map_set_zero(&map, 512, 10, &err), 0);
	assert_non_null(map.l2[1].entries);
	assert_int_equal(map_set_zero(&map, 522, 178, &err), 0);
	assert_null(map.l2[1].entries);
	assert_int_equal(map.l1[1], 0);
	map_release(&map);

	/* With a backing file they do. */
	assert_int_equal(map_init(&map, &space, SIZE, true, &err), 0);
	assert_int_equal(map_set_zero(&map, 512, 188, &err), 0);
	assert_null(map.l2[1].entries);
	assert_int_not_equal(map.l1[1], 0);
	map_release(&map);
	space_release(&space);
	output_discard(output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_written_twice),
		TEST(a_failure_is_final),
		TEST(only_whole_clusters_within_the_disk),
		TEST(wrong_options_are_refused),
		TEST(texts_of_options),
		TEST(extensions_have_to_fit),
		TEST(deflate_keeps_to_its_window),
		TEST(refcounts_end_with_the_file),
		TEST(a_full_disk_is_reported),
		TEST(tables_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
