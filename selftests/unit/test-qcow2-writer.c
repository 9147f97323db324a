// SPDX-License-Identifier: GPL-2.0-only
/*
 * Images of random layout, written by several threads in random order, are right: for
 * the reader, the check and QEMU's check.
 *
 * TEST_ROUNDS in the environment chooses another number of layouts.
 */
#include "writer-test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "qcow2-format.h"
#include "qcow2/check.h"

#define ROUNDS 40
#define MAX_THREADS 4
#define EXTENSION_TYPE 0x646d7478

/* The kinds of clusters. */
enum kind {
	UNWRITTEN,
	ZEROED,			/* by writer_zero() */
	ZEROS,			/* written, as data */
	NOISE,			/* cannot be compressed */
	TEXT,
	NEARLY_NOTHING,		/* becomes as small as can be */
	NR_KINDS
};

struct step {
	uint64_t offset;
	uint64_t length;
	bool zero;
};

struct layout {
	struct rng rng;
	struct writer_options options;
	unsigned int nr_threads;
	uint64_t nr_clusters;
	unsigned char *kinds;
	char *content;		/* what a guest is to see */
	char extension[100];
	size_t extension_bytes;

	struct step *steps;
	size_t nr_steps;
	_Atomic size_t next_step;
	struct writer *writer;
};

static uint64_t cluster_length(const struct layout *l, uint64_t cluster)
{
	uint64_t left = l->options.size_bytes -
			cluster * l->options.cluster_bytes;

	return left < l->options.cluster_bytes ? left : l->options.cluster_bytes;
}

static void choose_options(struct layout *l)
{
	static const char backing[] = "base.raw";
	unsigned int bits = 9 + rng_below(&l->rng, 13);
	uint64_t most = (bits < 12 ? 2ULL << 20 : 12ULL << 20) >> bits;
	struct writer_options *o = &l->options;

	o->format = rng_below(&l->rng, 5) ? WRITER_QCOW2 : WRITER_RAW;
	o->cluster_bytes = 1U << bits;
	l->nr_clusters = 1 + rng_below(&l->rng, most);
	o->size_bytes = (l->nr_clusters << bits) -
			512 * rng_below(&l->rng, o->cluster_bytes / 512);
	l->nr_threads = 1 + rng_below(&l->rng, MAX_THREADS);
	if (o->format == WRITER_RAW)
		return;
	o->compression = rng_below(&l->rng, 3);
	if (o->compression != WRITER_PLAIN && !rng_below(&l->rng, 2))
		o->level = 1 + rng_below(&l->rng, 9);
	if (rng_below(&l->rng, 3))
		return;
	o->backing_file = backing;
	o->backing_format = "raw";
}

/* The backing file may be shorter or longer than the image. */
static void make_backing(struct layout *l)
{
	uint64_t bytes = rng_below(&l->rng, 2 * l->options.size_bytes / 512 + 1) * 512;
	char *base = malloc(bytes + 1);
	uint64_t i;

	for (i = 0; i < bytes; i++)
		base[i] = 'a' + i / 512 % 26;
	make_file("base.raw", base, bytes);
	if (l->options.backing_file)
		memcpy(l->content, base, bytes < l->options.size_bytes ?
					 bytes : l->options.size_bytes);
	free(base);
}

static void fill_cluster(struct layout *l, uint64_t cluster)
{
	char *at = l->content + cluster * l->options.cluster_bytes;
	uint64_t length = cluster_length(l, cluster), i;

	switch (l->kinds[cluster]) {
	case NOISE:
		for (i = 0; i < length; i++)
			at[i] = rng_next(&l->rng) >> 32;
		break;
	case TEXT:
		for (i = 0; i < length; i++)
			at[i] = i % 5 ? 'a' + i % 23 : rng_next(&l->rng) >> 32;
		break;
	case NEARLY_NOTHING:
		memset(at, 0, length);
		at[rng_below(&l->rng, length)] = 1;
		break;
	case ZEROED:
	case ZEROS:
		memset(at, 0, length);
		break;
	}
}

/* Kinds come in runs; each layout prefers one of them. */
static void choose_kinds(struct layout *l)
{
	unsigned int favourite = rng_below(&l->rng, NR_KINDS), kind = favourite;
	uint64_t cluster, run = 0;

	for (cluster = 0; cluster < l->nr_clusters; cluster++) {
		if (!run) {
			run = 1 + rng_below(&l->rng, rng_below(&l->rng, 3) ? 4 : 200);
			kind = rng_below(&l->rng, 2) ? favourite :
						       rng_below(&l->rng, NR_KINDS);
		}
		run--;
		l->kinds[cluster] = kind;
		fill_cluster(l, cluster);
	}
}

/* Split the writes into calls, and shuffle these a little or a lot. */
static void choose_steps(struct layout *l)
{
	uint64_t cluster, count, i, reach;
	struct step step;

	for (cluster = 0; cluster < l->nr_clusters; cluster += count) {
		count = 1;
		if (l->kinds[cluster] == UNWRITTEN)
			continue;
		step = (struct step) {
			.offset = cluster * l->options.cluster_bytes,
			.zero = l->kinds[cluster] == ZEROED,
		};
		for (i = rng_below(&l->rng, 40);
		     i && cluster + count < l->nr_clusters &&
		     l->kinds[cluster + count] != UNWRITTEN &&
		     (l->kinds[cluster + count] == ZEROED) == step.zero; i--)
			count++;
		for (i = 0; i < count; i++)
			step.length += cluster_length(l, cluster + i);
		l->steps[l->nr_steps++] = step;
	}
	reach = 1 + rng_below(&l->rng, rng_below(&l->rng, 2) ? 4 : l->nr_clusters);
	for (i = 0; i + 1 < l->nr_steps; i++) {
		uint64_t other = i + rng_below(&l->rng, reach);

		if (other >= l->nr_steps)
			continue;
		step = l->steps[i];
		l->steps[i] = l->steps[other];
		l->steps[other] = step;
	}
}

static void *take_steps(void *context)
{
	struct layout *l = context;
	struct image_error err = { "" };
	struct step *step;
	size_t i;

	while ((i = atomic_fetch_add(&l->next_step, 1)) < l->nr_steps) {
		step = &l->steps[i];
		if (step->zero ? writer_zero(l->writer, step->offset,
					     step->length, &err) :
				 writer_write(l->writer, step->offset,
					      l->content + step->offset,
					      step->length, &err)) {
			print_error("%s\n", err.message);
			return "failed";
		}
	}
	return NULL;
}

static void write_image(struct layout *l)
{
	pthread_t threads[MAX_THREADS];
	struct image_error err = { "" };
	void *result;
	unsigned int i;

	l->writer = must_create("image", &l->options);
	assert_int_equal(writer_cluster_bytes(l->writer),
			 l->options.cluster_bytes);
	if (l->extension_bytes &&
	    writer_set_extension(l->writer, EXTENSION_TYPE, l->extension,
				 l->extension_bytes, &err))
		fail_msg("%s", err.message);
	for (i = 0; i < l->nr_threads; i++)
		assert_false(pthread_create(&threads[i], NULL, take_steps, l));
	for (i = 0; i < l->nr_threads; i++) {
		pthread_join(threads[i], &result);
		assert_null(result);
	}
	assert_false(exists("image"));
	must_finish(l->writer);
	assert_false(exists("image.partial"));
}

static void finding(void *context, bool corruption, const char *text)
{
	(void)context;
	print_error("%s: %s\n", corruption ? "corruption" : "leak", text);
}

static void assert_clean(struct image *image)
{
	struct check check = { .finding = finding };
	struct image_error err = { "" };

	if (image_check(image, &check, &err))
		fail_msg("%s", err.message);
	assert_int_equal(check.result.corruptions, 0);
	assert_int_equal(check.result.leaks, 0);
}

static void assert_readable(const struct layout *l)
{
	const struct image_options options = {
		.format = l->options.format == WRITER_RAW ? "raw" : "qcow2",
	};
	struct image_error err = { "" };
	struct image *image;
	char *got = malloc(l->options.size_bytes);

	assert_non_null(got);
	if (image_open("image", &options, &image, &err))
		fail_msg("%s", err.message);
	assert_int_equal(image_size(image), l->options.size_bytes);
	if (image_read(image, 0, got, l->options.size_bytes, &err))
		fail_msg("%s", err.message);
	assert_memory_equal(got, l->content, l->options.size_bytes);
	if (l->options.format == WRITER_QCOW2)
		assert_clean(image);
	image_close(image);
	free(got);
}

/* It is in the first cluster, with its type and length. */
static void assert_extension(const struct layout *l)
{
	struct qcow2_extension head = {
		.type = htobe32(EXTENSION_TYPE),
		.length = htobe32(l->extension_bytes),
	};
	char start[512], wanted[sizeof(head) + sizeof(l->extension)];
	int fd = open("image", O_RDONLY);

	memcpy(wanted, &head, sizeof(head));
	memcpy(wanted + sizeof(head), l->extension, l->extension_bytes);
	assert_int_equal(read(fd, start, sizeof(start)), sizeof(start));
	close(fd);
	assert_non_null(memmem(start, sizeof(start), wanted,
			       sizeof(head) + l->extension_bytes));
}

static void assert_qemu_agrees(const struct layout *l)
{
	if (system("command -v qemu-img > /dev/null"))
		return;
	make_file("wanted.raw", l->content, l->options.size_bytes);
	if (l->options.format == WRITER_RAW) {
		assert_int_equal(system("cmp image wanted.raw"), 0);
		return;
	}
	assert_int_equal(system("qemu-img check -q image"), 0);
	assert_int_equal(system("qemu-img compare -q -f qcow2 -F raw image wanted.raw"),
			 0);
}

static void one_layout(unsigned int round)
{
	struct layout l = { .rng = rng_new(round) };
	size_t i;

	choose_options(&l);
	l.kinds = calloc(l.nr_clusters, 1);
	l.steps = calloc(l.nr_clusters, sizeof(*l.steps));
	l.content = calloc(1, l.options.size_bytes);
	if (l.options.format == WRITER_QCOW2)
		l.extension_bytes = rng_below(&l.rng, sizeof(l.extension) + 1);
	for (i = 0; i < l.extension_bytes; i++)
		l.extension[i] = rng_next(&l.rng) >> 32;
	make_backing(&l);
	choose_kinds(&l);
	choose_steps(&l);
	print_message("# round %u: %s, %u bytes a cluster, %llu clusters, method %d, %u threads%s\n",
		      round, l.options.format == WRITER_RAW ? "raw" : "qcow2",
		      l.options.cluster_bytes, (unsigned long long)l.nr_clusters,
		      l.options.compression, l.nr_threads,
		      l.options.backing_file ? ", backing" : "");
	write_image(&l);
	assert_readable(&l);
	if (l.extension_bytes)
		assert_extension(&l);
	assert_qemu_agrees(&l);
	unlink("image");
	free(l.kinds);
	free(l.steps);
	free(l.content);
}

static void random_layouts_are_read_as_written(void **state)
{
	const char *text = getenv("TEST_ROUNDS");
	unsigned int rounds = text ? atoi(text) : ROUNDS, round;

	(void)state;
	for (round = 0; round < rounds; round++)
		one_layout(round);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_layouts_are_read_as_written,
						enter_folder, leave_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
