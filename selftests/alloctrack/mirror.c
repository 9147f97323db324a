// SPDX-License-Identifier: GPL-2.0-only
/*
 * mirror: runs the operations that it is given on a device and on a file that
 * models it, and checks that both stay equal. (For random ones: blkmodel.)
 *
 *	mirror [--from BACKING] [--verify] DEVICE MODEL
 *		[OPERATION OFFSET LENGTH]...
 *
 * MODEL is a file of the device's size with the content that DEVICE must have
 * now. With --from it is created: the content of BACKING, or zeros for "-", cut
 * or extended with zeros to the device's size. Operations are read, write, dsync,
 * zero, punch and discard, in bytes; each is one request. After a discard, or a
 * punch that the device does not support, a sector may read as before or as
 * zeros; the model takes over what is found. With --verify, or without operations,
 * the whole device is compared at the end.
 *
 * Exit status: 0 equal, 1 not equal, 2 something else failed.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR_BYTES	512
#define CHUNK_BYTES	1048576

typedef unsigned long long ull;

static const char usage[] =
"usage: mirror [--from BACKING] [--verify] DEVICE MODEL\n"
"	[OPERATION OFFSET LENGTH]...";

static int device;
static uint64_t size;
static char *model;
static char *data;		/* of this operation, CHUNK_BYTES or more */
static char *seen;
static uint64_t buffer_bytes;

static void make_room(uint64_t bytes)
{
	void *memory[2];

	if (bytes <= buffer_bytes)
		return;
	free(data);
	free(seen);
	if (posix_memalign(&memory[0], 4096, bytes) ||
	    posix_memalign(&memory[1], 4096, bytes))
		err(2, "memory");
	data = memory[0];
	seen = memory[1];
	buffer_bytes = bytes;
}

/* Data that is not zero, and that no other write of any mirror has. */
static void stamp(uint64_t offset, uint64_t length)
{
	static uint64_t number;
	uint64_t words[2] = { (uint64_t)getpid() << 32 | ++number };

	for (uint64_t at = 0; at < length; at += sizeof(words)) {
		words[1] = offset + at;
		memcpy(data + at, words, sizeof(words));
	}
}

static void mismatch(const char *operation, uint64_t offset)
{
	uint64_t a[2], b[2];

	memcpy(a, seen, sizeof(a));
	memcpy(b, model + offset, sizeof(b));
	printf("%s: sector %llu reads as %016llx %016llx, not %016llx %016llx\n",
	       operation, (ull)offset / SECTOR_BYTES, (ull)a[0], (ull)a[1],
	       (ull)b[0], (ull)b[1]);
	exit(1);
}

static void read_range(uint64_t offset, uint64_t length)
{
	ssize_t r = pread(device, seen, length, offset);

	if (r != (ssize_t)length)
		err(2, "read at byte %llu: %zd of %llu", (ull)offset, r,
		    (ull)length);
}

static void compare(const char *operation, uint64_t offset, uint64_t length)
{
	read_range(offset, length);
	for (uint64_t at = 0; at < length; at += SECTOR_BYTES) {
		if (!memcmp(seen + at, model + offset + at, SECTOR_BYTES))
			continue;
		memmove(seen, seen + at, SECTOR_BYTES);
		mismatch(operation, offset + at);
	}
}

/* A sector that reads as zeros becomes zeros in the model. */
static void adopt_zeros(uint64_t offset, uint64_t length)
{
	static const char zeros[SECTOR_BYTES];

	read_range(offset, length);
	for (uint64_t at = 0; at < length; at += SECTOR_BYTES)
		if (!memcmp(seen + at, zeros, SECTOR_BYTES))
			memcpy(model + offset + at, zeros, SECTOR_BYTES);
}

static int write_range(uint64_t offset, uint64_t length, int flags)
{
	struct iovec iov = { data, length };
	ssize_t r;

	stamp(offset, length);
	r = pwritev2(device, &iov, 1, offset, flags);
	if (r == (ssize_t)length)
		return 0;
	if (r >= 0)
		errno = EIO;
	return -1;
}

/* Change the device. The new content is in data afterwards. */
static int issue(const char *operation, uint64_t offset, uint64_t length)
{
	uint64_t range[2] = { offset, length };

	if (!strcmp(operation, "write"))
		return write_range(offset, length, 0);
	if (!strcmp(operation, "dsync"))
		return write_range(offset, length, RWF_DSYNC);

	memset(data, 0, length);
	if (!strcmp(operation, "zero"))
		return ioctl(device, BLKZEROOUT, range);
	if (!strcmp(operation, "punch"))
		return fallocate(device, FALLOC_FL_PUNCH_HOLE |
				 FALLOC_FL_KEEP_SIZE, offset, length);
	if (!strcmp(operation, "discard"))
		return ioctl(device, BLKDISCARD, range);
	errx(2, "%s: no such operation", operation);
}

static void operate(const char *operation, uint64_t offset, uint64_t length)
{
	bool open = !strcmp(operation, "discard");

	make_room(length);
	if (!strcmp(operation, "read")) {
		compare(operation, offset, length);
		return;
	}
	if (issue(operation, offset, length)) {
		open = !strcmp(operation, "punch") && errno == EOPNOTSUPP;
		if (!open)
			err(2, "%s at byte %llu, length %llu", operation,
			    (ull)offset, (ull)length);
	}
	if (open) {
		adopt_zeros(offset, length);
		compare(operation, offset, length);
	} else {
		memcpy(model + offset, data, length);
	}
}

static void verify(void)
{
	uint64_t at, n;

	make_room(CHUNK_BYTES);
	for (at = 0; at < size; at += n) {
		n = size - at < CHUNK_BYTES ? size - at : CHUNK_BYTES;
		compare("all of it", at, n);
	}
}

static void open_device(const char *path, bool only_reads)
{
	device = open(path, (only_reads ? O_RDONLY : O_RDWR) | O_DIRECT);
	if (device < 0 || ioctl(device, BLKGETSIZE64, &size))
		err(2, "%s", path);
}

static void copy_backing(const char *path, int model_fd)
{
	uint64_t at;
	ssize_t n;
	int fd;

	if (ftruncate(model_fd, 0) || ftruncate(model_fd, size))
		err(2, "the model");
	if (!strcmp(path, "-"))
		return;
	fd = open(path, O_RDONLY);
	if (fd < 0)
		err(2, "%s", path);
	/* The page cache may hide what others wrote with direct I/O. */
	ioctl(fd, BLKFLSBUF);
	make_room(CHUNK_BYTES);
	for (at = 0; at < size; at += n) {
		n = size - at < CHUNK_BYTES ? size - at : CHUNK_BYTES;
		n = read(fd, data, n);
		if (n < 0 || pwrite(model_fd, data, n, at) != n)
			err(2, "copying %s", path);
		if (!n)
			break;
	}
	close(fd);
}

static void open_model(const char *path, const char *from)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	if (fd < 0)
		err(2, "%s", path);
	if (from)
		copy_backing(from, fd);
	if (fstat(fd, &st))
		err(2, "%s", path);
	if ((uint64_t)st.st_size != size)
		errx(2, "%s is not of the device's size", path);
	model = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (model == MAP_FAILED)
		err(2, "%s", path);
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "from", required_argument, NULL, 'f' },
		{ "verify", no_argument, NULL, 'v' },
		{ }
	};
	const char *from = NULL;
	bool verifies = false;
	int c;

	/* "+": operations are not options. */
	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c == 'f')
			from = optarg;
		else if (c == 'v')
			verifies = true;
		else
			return 2;
	}
	argv += optind;
	argc -= optind;
	if (argc < 2 || (argc - 2) % 3)
		errx(2, "%s", usage);
	open_device(argv[0], argc == 2);
	open_model(argv[1], from);

	for (char **words = argv + 2; *words; words += 3)
		operate(words[0], strtoull(words[1], NULL, 0),
			strtoull(words[2], NULL, 0));
	if (verifies || argc == 2)
		verify();
	return 0;
}
