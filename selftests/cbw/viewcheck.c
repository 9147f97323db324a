// SPDX-License-Identifier: GPL-2.0-only
/*
 * viewcheck: compares a device with a file over and over, from many threads. See
 * usage below.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char usage[] =
"Usage: viewcheck DEVICE FILE read THREADS ROUNDS [PID]\n"
"       viewcheck DEVICE FILE release CHUNK_BYTES\n"
"       viewcheck DEVICE FILE paint SEED\n"
"\n"
"read: reads pieces of random position and size and compares them with FILE; each\n"
"thread reads ROUNDS times, and as long as there is a process PID.\n"
"release: reads and compares all of it from start to end, and discards each chunk\n"
"after reading it. paint: fills DEVICE (and FILE, which may be -) with random\n"
"data, a quarter of it zeros.\n"
"Exit status: 0 equal, 1 different, 2 usage, 3 I/O error.\n";

#define MAX_BYTES	(3u << 20)
#define SECTOR		512u

static int fd, reference;
static uint64_t size;
static unsigned int sector_bytes = SECTOR;
static unsigned long rounds;
static pid_t pid;

static void *allocate(void)
{
	void *memory;

	if (posix_memalign(&memory, 4096, MAX_BYTES))
		errx(2, "no memory");
	return memory;
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static void compare(uint64_t at, uint64_t bytes, char *got, char *wanted)
{
	ssize_t r = pread(fd, got, bytes, at);
	uint64_t i;

	if (r != (ssize_t)bytes) {
		fprintf(stderr, "viewcheck: read of %" PRIu64 " at %" PRIu64
			": %s\n", bytes, at, r < 0 ? strerror(errno) : "short");
		exit(3);
	}
	if (pread(reference, wanted, bytes, at) != (ssize_t)bytes)
		errx(2, "the file is too short");
	if (!memcmp(got, wanted, bytes))
		return;
	for (i = 0; got[i] == wanted[i]; i++)
		;
	fprintf(stderr, "viewcheck: WRONG byte at %" PRIu64 ", in a read of %"
		PRIu64 " at %" PRIu64 ": %#x, wanted %#x\n", at + i, bytes, at,
		got[i] & 0xff, wanted[i] & 0xff);
	exit(1);
}

static bool goes_on(unsigned long round)
{
	return round < rounds || (pid && !kill(pid, 0));
}

static void *reader(void *argument)
{
	uint64_t state = (uintptr_t)argument * 7919 + getpid();
	char *got = allocate(), *wanted = allocate();
	uint64_t at, bytes;
	unsigned long round;

	for (round = 0; goes_on(round); round++) {
		bytes = sector_bytes << next_random(&state) % 13;
		bytes += next_random(&state) % 8 * sector_bytes;
		if (bytes > MAX_BYTES)
			bytes = MAX_BYTES;
		at = next_random(&state) % (size / sector_bytes) * sector_bytes;
		if (bytes > size - at)
			bytes = size - at;
		compare(at, bytes, got, wanted);
	}
	free(got);
	free(wanted);
	return NULL;
}

static void read_all(unsigned int nr_threads)
{
	pthread_t threads[nr_threads];
	unsigned int i;

	for (i = 0; i < nr_threads; i++)
		if (pthread_create(&threads[i], NULL, reader,
				   (void *)(uintptr_t)(i + 1)))
			errx(2, "cannot create a thread");
	for (i = 0; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
}

static void release_all(uint64_t chunk)
{
	char *got = allocate(), *wanted = allocate();
	uint64_t range[2] = { };

	if (!chunk || chunk > MAX_BYTES)
		errx(2, "bad chunk");
	for (; range[0] < size; range[0] += chunk) {
		range[1] = chunk < size - range[0] ? chunk : size - range[0];
		compare(range[0], range[1], got, wanted);
		if (ioctl(fd, BLKDISCARD, range)) {
			warn("discard at %" PRIu64, range[0]);
			exit(3);
		}
	}
}

static void paint(uint64_t seed)
{
	uint64_t at, bytes, i, *words = (uint64_t *)allocate();

	for (at = 0; at < size; at += bytes) {
		bytes = 64 << 10;
		if (bytes > size - at)
			bytes = size - at;
		for (i = 0; i < bytes / 8; i++)
			words[i] = next_random(&seed);
		if (words[0] % 4 == 0)
			memset(words, 0, bytes);
		if (pwrite(fd, words, bytes, at) != (ssize_t)bytes)
			err(3, "write");
		if (reference >= 0 &&
		    pwrite(reference, words, bytes, at) != (ssize_t)bytes)
			err(3, "write to the file");
	}
}

int main(int argc, char **argv)
{
	bool painting;
	off_t end;

	if (argc < 5) {
		fputs(usage, stderr);
		return 2;
	}
	painting = !strcmp(argv[3], "paint");
	fd = open(argv[1], O_DIRECT | (!strcmp(argv[3], "read") ? O_RDONLY :
						      O_RDWR));
	if (fd < 0)
		err(2, "%s", argv[1]);
	reference = open(argv[2], painting ? O_RDWR | O_CREAT : O_RDONLY, 0600);
	if (reference < 0 && strcmp(argv[2], "-"))
		err(2, "%s", argv[2]);
	end = lseek(fd, 0, SEEK_END);
	if (end <= 0)
		err(2, "%s", argv[1]);
	size = end;
	ioctl(fd, BLKSSZGET, &sector_bytes);
	if (painting) {
		paint(strtoull(argv[4], NULL, 0));
	} else if (!strcmp(argv[3], "release")) {
		release_all(strtoull(argv[4], NULL, 0));
	} else if (!strcmp(argv[3], "read") && argc >= 6) {
		rounds = strtoul(argv[5], NULL, 0);
		pid = argc > 6 ? atoi(argv[6]) : 0;
		read_all(strtoul(argv[4], NULL, 0));
	} else {
		fputs(usage, stderr);
		return 2;
	}
	return 0;
}
