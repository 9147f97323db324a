// SPDX-License-Identifier: GPL-2.0-only
/*
 * stamper: writes that show afterwards whether a copy of the device is its state at
 * one point in time. See usage below.
 *
 * The device is divided into stripes that belong to the threads in turn, so that a
 * block of the target under test has stripes of all threads. Each thread runs one
 * operation after the other on its stripes. Operation n of thread t depends only on
 * the seed, so the content of a thread's sectors after n operations can be computed,
 * and STATE only has to hold the number of acknowledged operations.
 *
 * STATE is copied while the device is suspended. A copy of the device must have, for
 * each thread, all operations that are acknowledged in the copy of STATE, any part of
 * the next one (a large write may be suspended in the middle), and none after that.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stamp.h"

static const char usage[] =
"Usage: stamper write STATE SEED THREADS STRIPE_BYTES DEVICE [SECOND_DEVICE]\n"
"       stamper check STATE COPY READERS [SECOND_COPY]\n"
"       stamper release STATE COPY CHUNK_BYTES\n"
"\n"
"write: stamps all of DEVICE, prints \"started\", and continues with random writes,\n"
"discards and write-zeroes until SIGTERM. STATE is created. With a second device\n"
"there are only writes: each goes to the first device, and when that has\n"
"acknowledged it, to the second.\n"
"check: COPY is the state at the time when STATE was copied; each of READERS\n"
"threads reads all of it. With a second copy, also: the second has no part of an\n"
"operation that the first does not have completely.\n"
"release: as check, but discards each chunk of COPY after reading it.\n"
"Exit status: 0 right, 1 wrong, 2 usage, 3 I/O error.\n";

#define MAX_THREADS	64
#define MAX_BYTES	(4u << 20)

/* Shares of the operations, in 16ths. */
#define DISCARDS	2
#define ZEROES		2

enum kind { WRITE, DISCARD, ZERO };

/** struct state - the content of the file STATE */
struct state {
	uint64_t seed;
	uint64_t nr_sectors;
	uint32_t sector_bytes;
	uint32_t stripe_sectors;
	uint32_t nr_threads;
	uint32_t nr_devices;
	atomic_uint_least64_t acknowledged[MAX_THREADS];
};

/** struct operation - a thread's operation on [first, end), in sectors */
struct operation {
	enum kind kind;
	uint64_t first;
	uint64_t end;
};

/**
 * struct sector - the content that a sector may have
 * @last: the operation that wrote it last, 0: the first stamp
 * @kind: the kind of that operation
 * @discarded: discarded since, so it may be zeros
 * @next: the thread's next operation is on it
 */
struct sector {
	uint32_t last;
	uint8_t kind;
	bool discarded;
	bool next;
};

static struct state *state;
static struct sector *sectors;
static int fds[2] = { -1, -1 };
static struct operation next_operations[MAX_THREADS];
static uint32_t next_numbers[MAX_THREADS];
static atomic_bool has_old[2][MAX_THREADS], has_new[2][MAX_THREADS];
static atomic_bool stopped;

static void *allocate(size_t bytes)
{
	void *memory;

	if (posix_memalign(&memory, 4096, bytes))
		errx(2, "no memory");
	return memory;
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static uint64_t next_random(uint64_t *random)
{
	return mix(*random += 0x9e3779b97f4a7c15ULL);
}

static unsigned int owner(uint64_t sector)
{
	return sector / state->stripe_sectors % state->nr_threads;
}

/* In units of the logical block; half of them are short. */
static struct operation operation_of(unsigned int thread, uint32_t number)
{
	uint64_t random = mix(state->seed ^ (uint64_t)thread << 56 ^ number);
	uint64_t stripes = state->nr_sectors / state->stripe_sectors;
	unsigned int unit = state->sector_bytes / STAMP_BYTES;
	unsigned int units = state->stripe_sectors / unit;
	unsigned int from, nr, choice;
	struct operation operation;

	/* The short stripe at the end keeps its first stamps. */
	operation.first = next_random(&random) %
			  ((stripes - thread - 1) / state->nr_threads + 1);
	operation.first = (operation.first * state->nr_threads + thread) *
			  state->stripe_sectors;
	from = next_random(&random) % units;
	nr = next_random(&random) % (units - from) + 1;
	if (next_random(&random) % 2 && nr > 8)
		nr = next_random(&random) % 8 + 1;
	operation.first += (uint64_t)from * unit;
	operation.end = operation.first + (uint64_t)nr * unit;

	choice = next_random(&random) % 16;
	if (state->nr_devices > 1 || choice >= DISCARDS + ZEROES)
		operation.kind = WRITE;
	else
		operation.kind = choice < DISCARDS ? DISCARD : ZERO;
	return operation;
}

static void make_stamp(struct stamp *stamp, unsigned int device,
		       uint64_t sector, uint32_t number)
{
	stamp_make(stamp, state->seed + device, sector, number);
}

static void stamp_range(unsigned int device, struct stamp *data, uint64_t first,
			uint64_t end, uint32_t number)
{
	ssize_t bytes = (end - first) * STAMP_BYTES;
	uint64_t s;

	for (s = first; s < end; s++)
		make_stamp(&data[s - first], device, s, number);
	if (pwrite(fds[device], data, bytes, first * STAMP_BYTES) != bytes)
		err(3, "write %" PRIu32 " of %zd bytes at sector %" PRIu64,
		    number, bytes, first);
}

static void zero_range(unsigned int device, const struct operation *operation)
{
	uint64_t range[2] = {
		operation->first * STAMP_BYTES,
		(operation->end - operation->first) * STAMP_BYTES,
	};

	if (ioctl(fds[device], operation->kind == DISCARD ? BLKDISCARD :
							    BLKZEROOUT, range))
		err(3, "%s at sector %" PRIu64,
		    operation->kind == DISCARD ? "discard" : "write-zeroes",
		    operation->first);
}

static void *writer(void *argument)
{
	struct stamp *data = allocate(MAX_BYTES);
	unsigned int thread = (uintptr_t)argument, device;
	struct operation operation;
	uint32_t number;

	for (number = 1; !stopped; number++) {
		operation = operation_of(thread, number);
		for (device = 0; device < state->nr_devices; device++) {
			if (operation.kind == WRITE)
				stamp_range(device, data, operation.first,
					    operation.end, number);
			else
				zero_range(device, &operation);
		}
		state->acknowledged[thread] = number;
	}
	free(data);
	return NULL;
}

static void first_stamps(void)
{
	struct stamp *data = allocate(MAX_BYTES);
	uint64_t first, end;
	unsigned int device;

	for (device = 0; device < state->nr_devices; device++) {
		for (first = 0; first < state->nr_sectors; first = end) {
			end = first + MAX_BYTES / STAMP_BYTES;
			if (end > state->nr_sectors)
				end = state->nr_sectors;
			stamp_range(device, data, first, end, 0);
		}
	}
	free(data);
}

static void stop(int signal)
{
	(void)signal;
	stopped = true;
}

static void run_threads(unsigned int nr, void *(*function)(void *argument))
{
	pthread_t threads[MAX_THREADS];
	uintptr_t i;

	for (i = 0; i < nr; i++)
		if (pthread_create(&threads[i], NULL, function, (void *)i))
			errx(2, "cannot create a thread");
	for (i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
}

static uint64_t number_of(const char *text, uint64_t min, uint64_t max)
{
	uint64_t value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || *end || value < min || value > max)
		errx(2, "%s: not a number from %" PRIu64 " to %" PRIu64, text,
		     min, max);
	return value;
}

static void open_device(unsigned int index, const char *path, int flags)
{
	off_t end;

	fds[index] = open(path, flags | O_DIRECT);
	if (fds[index] < 0)
		err(2, "%s", path);
	end = lseek(fds[index], 0, SEEK_END);
	/* The device of a backup may be larger. */
	if (end < 0 || (uint64_t)end / STAMP_BYTES < state->nr_sectors)
		errx(2, "%s: too small", path);
	if (!state->nr_sectors)
		state->nr_sectors = end / STAMP_BYTES;
}

static void map_state(const char *path, bool create)
{
	int fd = open(path, create ? O_RDWR | O_CREAT | O_EXCL : O_RDONLY, 0600);

	if (fd < 0 || (create && ftruncate(fd, sizeof(*state))))
		err(2, "%s", path);
	state = mmap(NULL, sizeof(*state), create ? PROT_READ | PROT_WRITE :
						    PROT_READ,
		     MAP_SHARED, fd, 0);
	if (state == MAP_FAILED)
		err(2, "%s", path);
	close(fd);
}

static int write_devices(int argc, char **argv)
{
	int i;

	map_state(argv[2], true);
	state->seed = number_of(argv[3], 0, UINT64_MAX);
	state->nr_threads = number_of(argv[4], 1, MAX_THREADS);
	state->nr_devices = argc - 6;
	for (i = 6; i < argc; i++)
		open_device(i - 6, argv[i], O_RDWR);
	if (ioctl(fds[0], BLKSSZGET, &state->sector_bytes))
		err(2, "%s", argv[6]);
	state->stripe_sectors = number_of(argv[5], state->sector_bytes,
					  MAX_BYTES) / STAMP_BYTES;
	if (state->nr_sectors / state->stripe_sectors < state->nr_threads)
		errx(2, "%s: fewer stripes than threads", argv[6]);
	signal(SIGTERM, stop);
	first_stamps();
	puts("started");
	fflush(stdout);
	run_threads(state->nr_threads, writer);
	return 0;
}

/* Compute the sectors after all acknowledged operations of a thread. */
static void replay(unsigned int thread)
{
	uint32_t number, acknowledged = state->acknowledged[thread];
	struct operation operation;
	uint64_t s;

	for (number = 1; number <= acknowledged; number++) {
		operation = operation_of(thread, number);
		for (s = operation.first; s < operation.end; s++) {
			if (operation.kind == DISCARD) {
				sectors[s].discarded = true;
				continue;
			}
			sectors[s].last = number;
			sectors[s].kind = operation.kind;
			sectors[s].discarded = false;
		}
	}
	next_numbers[thread] = number;
	operation = operation_of(thread, number);
	next_operations[thread] = operation;
	for (s = operation.first; s < operation.end; s++)
		sectors[s].next = true;
}

static bool is_zero(const void *data)
{
	static const struct stamp zeros;

	return !memcmp(data, &zeros, sizeof(zeros));
}

static bool is_stamp(const void *data, unsigned int device, uint64_t sector,
		     uint32_t number)
{
	struct stamp stamp;

	make_stamp(&stamp, device, sector, number);
	return !memcmp(data, &stamp, sizeof(stamp));
}

static bool is_old(const void *data, unsigned int device, uint64_t s)
{
	const struct sector *sector = &sectors[s];

	if (is_zero(data))
		return sector->kind == ZERO || sector->discarded;
	return sector->kind == WRITE && is_stamp(data, device, s, sector->last);
}

static bool is_new(const void *data, unsigned int device, uint64_t s)
{
	unsigned int thread = owner(s);

	if (!sectors[s].next)
		return false;
	if (next_operations[thread].kind != WRITE)
		return is_zero(data);
	return is_stamp(data, device, s, next_numbers[thread]);
}

static void complain(const void *data, unsigned int device, uint64_t s)
{
	const struct sector *sector = &sectors[s];

	fprintf(stderr, "stamper: WRONG sector %" PRIu64 " of copy %u, thread %u: wanted ",
		s, device, owner(s));
	fprintf(stderr, "operation %" PRIu32 " (%s)%s%s; there is ", sector->last,
		sector->kind == ZERO ? "zeros" : "stamp",
		sector->discarded ? ", or zeros by a discard" : "",
		sector->next ? ", or the one after all acknowledged" : "");
	stamp_describe(stderr, data);
	fputc('\n', stderr);
	exit(1);
}

static void check_range(unsigned int device, uint64_t first, uint64_t end,
			struct stamp *data)
{
	ssize_t r, bytes = (end - first) * STAMP_BYTES;
	uint64_t s;

	r = pread(fds[device], data, bytes, first * STAMP_BYTES);
	if (r != bytes) {
		warnx("read of %zd bytes at sector %" PRIu64 ": %s", bytes, first,
		      r < 0 ? strerror(errno) : "short");
		exit(3);
	}
	for (s = first; s < end; s++) {
		const struct stamp *got = &data[s - first];

		if (is_old(got, device, s))
			has_old[device][owner(s)] |= sectors[s].next;
		else if (is_new(got, device, s))
			has_new[device][owner(s)] = true;
		else
			complain(got, device, s);
	}
}

/* Read all of it, from a random position on, in pieces of random size. */
static void *reader(void *argument)
{
	uint64_t random = mix((uintptr_t)argument + getpid());
	uint64_t nr_units = state->nr_sectors * STAMP_BYTES / state->sector_bytes;
	unsigned int unit = state->sector_bytes / STAMP_BYTES, device;
	struct stamp *data = allocate(MAX_BYTES);
	uint64_t start = next_random(&random) % nr_units, at, nr, done;

	for (device = 0; device < 2 && fds[device] >= 0; device++) {
		for (done = 0; done < nr_units; done += nr) {
			at = (start + done) % nr_units;
			nr = (1u << next_random(&random) % 11) +
			     next_random(&random) % 8;
			nr = nr * unit <= MAX_BYTES / STAMP_BYTES ? nr : 1024;
			nr = nr < nr_units - at ? nr : nr_units - at;
			check_range(device, at * unit, (at + nr) * unit, data);
		}
	}
	free(data);
	return NULL;
}

static void release_all(uint64_t chunk_sectors)
{
	struct stamp *data = allocate(MAX_BYTES);
	uint64_t first, end, range[2];

	for (first = 0; first < state->nr_sectors; first = end) {
		end = first + chunk_sectors;
		if (end > state->nr_sectors)
			end = state->nr_sectors;
		check_range(0, first, end, data);
		range[0] = first * STAMP_BYTES;
		range[1] = (end - first) * STAMP_BYTES;
		if (ioctl(fds[0], BLKDISCARD, range))
			err(3, "discard at sector %" PRIu64, first);
	}
	free(data);
}

/* Does the copy have a part of the second device's write but not all of the first's? */
static int check_order(void)
{
	unsigned int t;

	for (t = 0; t < state->nr_threads; t++) {
		if (!has_new[1][t] || !has_old[0][t])
			continue;
		fprintf(stderr, "stamper: WRONG order: write %" PRIu32
			" of thread %u is in the second copy, and not in the first\n",
			next_numbers[t], t);
		return 1;
	}
	return 0;
}

static int check_copies(int argc, char **argv, bool release)
{
	uint64_t total = 0, partly = 0;
	unsigned int t;

	map_state(argv[2], false);
	sectors = calloc(state->nr_sectors, sizeof(*sectors));
	if (!sectors)
		errx(2, "no memory");
	for (t = 0; t < state->nr_threads; t++)
		replay(t);
	open_device(0, argv[3], release ? O_RDWR : O_RDONLY);
	if (argc > 5)
		open_device(1, argv[5], O_RDONLY);
	if (release)
		release_all(number_of(argv[4], state->sector_bytes, MAX_BYTES) /
			    STAMP_BYTES);
	else
		run_threads(number_of(argv[4], 1, MAX_THREADS), reader);
	for (t = 0; t < state->nr_threads; t++) {
		total += state->acknowledged[t];
		partly += has_new[0][t] || has_new[1][t];
	}
	printf("%" PRIu64 " operations, and of %" PRIu64
	       " threads also the next one\n", total, partly);
	return check_order();
}

int main(int argc, char **argv)
{
	if (argc >= 7 && argc <= 8 && !strcmp(argv[1], "write"))
		return write_devices(argc, argv);
	if (argc >= 5 && argc <= 6 && !strcmp(argv[1], "check"))
		return check_copies(argc, argv, false);
	if (argc == 5 && !strcmp(argv[1], "release"))
		return check_copies(argc, argv, true);
	fputs(usage, stderr);
	return 2;
}
