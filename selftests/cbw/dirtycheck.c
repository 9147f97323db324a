// SPDX-License-Identifier: GPL-2.0-only
/*
 * dirtycheck DEVICE REFERENCE GRANULARITY < RUNS
 *
 * Checks that every block of DEVICE that differs from REFERENCE is in one of the RUNS,
 * which are lines of "START LENGTH" in bytes. Prints how many blocks differ and how many
 * are set. Exit status: 0 passed, 1 one is not set or none differs, 2 could not run.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES	(4u << 20)

static uint64_t granularity, nr_blocks, nr_set, nr_differ, nr_missed;
static bool *is_set;

static void read_runs(void)
{
	uint64_t start, length, block;

	while (scanf("%" SCNu64 " %" SCNu64, &start, &length) == 2) {
		if (!length)
			continue;
		for (block = start / granularity;
		     block <= (start + length - 1) / granularity &&
		     block < nr_blocks; block++) {
			nr_set += !is_set[block];
			is_set[block] = true;
		}
	}
}

static void compare(const uint8_t *a, const uint8_t *b, uint64_t offset,
		    size_t bytes)
{
	size_t at, length;

	for (at = 0; at < bytes; at += length) {
		uint64_t block = (offset + at) / granularity;

		length = granularity < bytes - at ? granularity : bytes - at;
		if (!memcmp(a + at, b + at, length))
			continue;
		nr_differ++;
		if (is_set[block])
			continue;
		if (!nr_missed++)
			printf("block %" PRIu64 " differs and is not set\n",
			       block);
	}
}

static uint8_t *buffer(void)
{
	void *memory;

	if (posix_memalign(&memory, 4096, READ_BYTES))
		errx(2, "out of memory");
	return memory;
}

int main(int argc, char **argv)
{
	uint8_t *a = buffer(), *b = buffer();
	uint64_t offset = 0, bytes;
	int device, reference;
	ssize_t n;

	if (argc != 4)
		errx(2, "DEVICE REFERENCE GRANULARITY");
	granularity = strtoull(argv[3], NULL, 0);
	device = open(argv[1], O_RDONLY | O_DIRECT);
	reference = open(argv[2], O_RDONLY);
	if (device < 0 || reference < 0 || !granularity ||
	    granularity > READ_BYTES)
		err(2, "%s, %s, %s", argv[1], argv[2], argv[3]);
	bytes = lseek(reference, 0, SEEK_END);
	nr_blocks = (bytes + granularity - 1) / granularity;
	is_set = calloc(nr_blocks, sizeof(*is_set));
	if (!is_set)
		errx(2, "out of memory");
	read_runs();
	for (; offset < bytes; offset += n) {
		n = pread(reference, b, READ_BYTES, offset);
		if (n <= 0 || pread(device, a, n, offset) != n)
			err(2, "read at %" PRIu64, offset);
		compare(a, b, offset, n);
	}
	printf("%" PRIu64 " differ, %" PRIu64 " set, of %" PRIu64 "\n",
	       nr_differ, nr_set, nr_blocks);
	return nr_missed || !nr_differ;
}
