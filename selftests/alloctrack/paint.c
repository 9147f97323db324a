// SPDX-License-Identifier: GPL-2.0-only
/*
 * paint: fills a file or device with sectors that can be told apart, and finds
 * them again.
 *
 *	paint TAG FILE [HOLE_BYTES]
 *	paint --find TAG FILE
 *
 * Every 512-byte sector consists of 16-byte pairs: the tag (up to 8 letters),
 * and the numbers of the sector and of the pair. With HOLE_BYTES every second
 * stretch of that size is zeros. --find looks for the tag at 8-byte boundaries,
 * prints where it is, and exits with 0 if there is one.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SECTOR_BYTES	512
#define CHUNK_BYTES	1048576
#define SECTOR_WORDS	(SECTOR_BYTES / 8)
#define CHUNK_WORDS	(CHUNK_BYTES / 8)

static uint64_t chunk[CHUNK_WORDS];

static uint64_t tag_word(const char *tag)
{
	uint64_t word = 0;

	if (strlen(tag) > sizeof(word))
		errx(2, "%s: a tag has up to 8 letters", tag);
	memcpy(&word, tag, strlen(tag));
	return word;
}

static uint64_t size_of(int fd)
{
	off_t end = lseek(fd, 0, SEEK_END);

	if (end < 0)
		err(2, "lseek");
	/* The page cache may hide what others wrote with direct I/O. */
	ioctl(fd, BLKFLSBUF);
	return end;
}

static void paint(int fd, uint64_t tag, uint64_t size)
{
	uint64_t at, bytes;

	for (at = 0; at < size; at += bytes) {
		bytes = size - at < CHUNK_BYTES ? size - at : CHUNK_BYTES;
		for (size_t w = 0; w < bytes / 8; w += 2) {
			uint64_t sector = (at + w * 8) / SECTOR_BYTES;

			chunk[w] = tag;
			chunk[w + 1] = sector * SECTOR_WORDS + w % SECTOR_WORDS;
		}
		if (pwrite(fd, chunk, bytes, at) != (ssize_t)bytes)
			err(2, "pwrite");
	}
	if (fsync(fd))
		err(2, "fsync");
}

static bool find(int fd, uint64_t tag)
{
	uint64_t at, size = size_of(fd);
	ssize_t bytes;

	for (at = 0; at < size; at += bytes) {
		bytes = pread(fd, chunk, CHUNK_BYTES, at);
		if (bytes <= 0)
			err(2, "pread at %llu", (unsigned long long)at);
		for (ssize_t w = 0; w < bytes / 8; w++) {
			if (chunk[w] != tag)
				continue;
			printf("the tag is seen at byte %llu\n",
			       (unsigned long long)at + w * 8);
			return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	bool finding = argc == 4 && !strcmp(argv[1], "--find");
	int fd;

	if (!finding && argc != 3 && argc != 4)
		errx(2, "usage: paint TAG FILE [HOLE_BYTES] | paint --find TAG FILE");
	fd = open(argv[finding ? 3 : 2], finding ? O_RDONLY : O_RDWR);
	if (fd < 0)
		err(2, "%s", argv[finding ? 3 : 2]);
	if (finding)
		return find(fd, tag_word(argv[2])) ? 0 : 1;
	paint(fd, tag_word(argv[1]),
	      argc == 4 ? strtoull(argv[3], NULL, 0) : size_of(fd));
	return 0;
}
