// SPDX-License-Identifier: GPL-2.0-only
/*
 * prefix: writes that show from a copy alone whether it is the state of one point in
 * time. See usage below.
 *
 * Operation n writes its number to block (n * STEP) modulo the number of blocks, so each
 * block is written once in as many operations as there are blocks. The largest number in
 * a copy is its last operation: each block must have the last operation up to that one
 * that wrote it.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
"Usage: prefix [--pause US] write|go-on DEVICE [DEVICE]...\n"
"       prefix fill FILE [FILE]...\n"
"       prefix check COPY [COPY]...\n"
"\n"
"write: writes all of each device, prints \"started\", and continues until SIGTERM,\n"
"one operation after the other: to the first device, and when that has acknowledged\n"
"it to the next. go-on: the same on devices that have some operations already. fill:\n"
"only what write does before it prints \"started\". --pause: sleep between operations,\n"
"so that blocks are not rewritten all the time.\n"
"check: each copy has the operations up to some number and none after it, and none\n"
"that the copy before does not have. Exit status: 0 right, 1 wrong, 2 usage.\n";

#define BLOCK_BYTES	4096u
#define BLOCK_WORDS	(BLOCK_BYTES / sizeof(uint64_t))
/* A prime: coprime to any smaller number of blocks. */
#define STEP		1000003u
#define FILL_BYTES	(1u << 20)
#define MAX_DEVICES	8

static volatile sig_atomic_t stop;
static unsigned int pause_us;

static void take_signal(int number)
{
	stop = number;
}

static uint64_t blocks_of(int fd, const char *path)
{
	off_t bytes = lseek(fd, 0, SEEK_END);

	if (bytes < (off_t)BLOCK_BYTES || bytes / BLOCK_BYTES >= STEP)
		errx(2, "%s: its size does not suit", path);
	return bytes / BLOCK_BYTES;
}

static void put(int fd, const char *path, uint64_t *buffer, uint64_t number,
		uint64_t nr_blocks)
{
	size_t i;

	for (i = 0; i < BLOCK_WORDS; i++)
		buffer[i] = number;
	if (pwrite(fd, buffer, BLOCK_BYTES, number * STEP % nr_blocks *
		   BLOCK_BYTES) != (ssize_t)BLOCK_BYTES)
		err(1, "%s: write", path);
}

/* The same as operations 1 to @nr_blocks, in large writes. */
static void fill(int fd, const char *path, uint64_t nr_blocks)
{
	uint64_t number, block, i, bytes, at;
	uint64_t *all;

	if (posix_memalign((void **)&all, BLOCK_BYTES, nr_blocks * BLOCK_BYTES))
		errx(1, "out of memory");
	for (number = 1; number <= nr_blocks; number++) {
		block = number * STEP % nr_blocks;
		for (i = 0; i < BLOCK_WORDS; i++)
			all[block * BLOCK_WORDS + i] = number;
	}
	for (at = 0; at < nr_blocks * BLOCK_BYTES; at += bytes) {
		bytes = nr_blocks * BLOCK_BYTES - at;
		if (bytes > FILL_BYTES)
			bytes = FILL_BYTES;
		if (pwrite(fd, (char *)all + at, bytes, at) != (ssize_t)bytes)
			err(1, "%s: write", path);
	}
	free(all);
}

static uint64_t open_all(int nr, char **paths, int flags, int *fds)
{
	uint64_t blocks, nr_blocks = 0;
	int i;

	if (nr > MAX_DEVICES)
		errx(2, "%s", usage);
	for (i = 0; i < nr; i++) {
		fds[i] = open(paths[i], O_WRONLY | flags);
		if (fds[i] < 0)
			err(1, "%s", paths[i]);
		blocks = blocks_of(fds[i], paths[i]);
		if (i && blocks != nr_blocks)
			errx(2, "%s: its size differs", paths[i]);
		nr_blocks = blocks;
	}
	return nr_blocks;
}

static int fill_all(int nr, char **paths, int flags)
{
	int fds[MAX_DEVICES], i;
	uint64_t nr_blocks = open_all(nr, paths, flags, fds);

	for (i = 0; i < nr; i++) {
		fill(fds[i], paths[i], nr_blocks);
		close(fds[i]);
	}
	return 0;
}

/* @number: the first operation. */
static int write_all(int nr, char **paths, uint64_t number)
{
	struct sigaction action = { .sa_handler = take_signal };
	int fds[MAX_DEVICES], i;
	uint64_t nr_blocks = open_all(nr, paths, O_DIRECT, fds);
	void *buffer;

	sigaction(SIGTERM, &action, NULL);
	if (posix_memalign(&buffer, BLOCK_BYTES, BLOCK_BYTES))
		errx(1, "out of memory");
	if (!number)
		number = nr_blocks + 1;
	puts("started");
	fflush(stdout);
	for (; !stop; number++) {
		for (i = 0; i < nr; i++)
			put(fds[i], paths[i], buffer, number, nr_blocks);
		if (pause_us)
			usleep(pause_us);
	}
	printf("%" PRIu64 "\n", number - 1);
	return 0;
}

/* Read the number in each block. */
static uint64_t *read_copy(const char *path, uint64_t *nr_blocks)
{
	uint64_t buffer[BLOCK_WORDS], *numbers, block;
	int fd = open(path, O_RDONLY);
	size_t i;

	if (fd < 0)
		err(1, "%s", path);
	*nr_blocks = blocks_of(fd, path);
	numbers = calloc(*nr_blocks, sizeof(*numbers));
	if (!numbers)
		err(1, "%s", path);
	for (block = 0; block < *nr_blocks; block++) {
		if (pread(fd, buffer, BLOCK_BYTES, block * BLOCK_BYTES) !=
		    (ssize_t)BLOCK_BYTES)
			err(1, "%s: read", path);
		for (i = 1; i < BLOCK_WORDS; i++)
			if (buffer[i] != buffer[0])
				errx(1, "%s: block %" PRIu64 " is torn", path,
				     block);
		numbers[block] = buffer[0];
	}
	close(fd);
	return numbers;
}

/* Returns the last operation that the copy has. */
static uint64_t check(const char *path)
{
	uint64_t nr_blocks, block, number, i, last = 0;
	uint64_t *numbers = read_copy(path, &nr_blocks);

	for (block = 0; block < nr_blocks; block++)
		if (numbers[block] > last)
			last = numbers[block];
	if (last < nr_blocks)
		errx(1, "%s: was not written wholly", path);
	for (i = 0; i < nr_blocks; i++) {
		number = last - i;
		block = number * STEP % nr_blocks;
		if (numbers[block] != number)
			errx(1, "%s: block %" PRIu64 " has %" PRIu64 ", not %" PRIu64,
			     path, block, numbers[block], number);
	}
	free(numbers);
	return last;
}

/* Returns the last operation that all copies have. */
static uint64_t check_all(int nr, char **paths)
{
	uint64_t last, before = UINT64_MAX;
	int i;

	for (i = 0; i < nr; i++) {
		last = check(paths[i]);
		printf("%s has %" PRIu64 " operations\n", paths[i], last);
		/* One operation may be in flight. */
		if (i && (last > before || last + 1 < before))
			errx(1, "%s has %" PRIu64 " operations, and %s has %" PRIu64,
			     paths[i - 1], before, paths[i], last);
		before = last;
	}
	return before;
}

int main(int argc, char **argv)
{
	char **paths;
	int nr;

	if (argc > 2 && !strcmp(argv[1], "--pause")) {
		pause_us = atoi(argv[2]);
		argv += 2;
		argc -= 2;
	}
	nr = argc - 2;
	paths = argv + 2;
	if (nr > 0 && !strcmp(argv[1], "write"))
		return fill_all(nr, paths, O_DIRECT) ?: write_all(nr, paths, 0);
	if (nr > 0 && !strcmp(argv[1], "go-on"))
		return write_all(nr, paths, check_all(nr, paths) + 1);
	if (nr > 0 && !strcmp(argv[1], "fill"))
		return fill_all(nr, paths, 0);
	if (nr > 0 && !strcmp(argv[1], "check"))
		return !check_all(nr, paths);
	fputs(usage, stderr);
	return 2;
}
