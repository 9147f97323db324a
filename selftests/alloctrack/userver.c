// SPDX-License-Identifier: GPL-2.0-only
/*
 * userver: a small user server for tests. It serves a raw file as the backing
 * of a device; options make it misbehave.
 *
 *	userver [OPTION]... MAJOR:MINOR FILE
 *	  --threads N			threads that answer faults, default 2
 *	  --stream			stream while the job runs
 *	  --delay-ms N			sleep before each answer
 *	  --fail-range OFF:LEN:ERRNO	FAIL these bytes
 *	  --hold PATH			answer nothing until PATH exists
 *	  --die-after N			kill itself at the Nth range
 *	  --odd				answer in odd parts, from the end, twice,
 *					and with more than was asked for
 *
 * Lines on standard output: "attached", "told OFFSET LENGTH", "answer OFFSET
 * LENGTH: ERROR", "streamed" (nothing is left to stream). FILE reads as zeros
 * past its end. Exit status: 0 when the device is gone, 1 when it cannot
 * attach, 2 for anything else.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/server/server.h"

#define MAX_THREADS	16
#define CHUNK_BYTES	1048576u

static struct {
	unsigned int threads;
	bool stream;
	unsigned int delay_ms;
	uint64_t fail_offset, fail_length;
	unsigned int fail_errno;
	const char *hold;
	unsigned int die_after;
	bool odd;
} options = { .threads = 2 };

static int control;
static int file;
static uint64_t device_bytes;
static uint64_t block_bytes;
static uint64_t chunk_bytes;	/* of one answer: whole blocks */
static atomic_uint nr_told;

static __thread char *buffer;
static __thread unsigned int random_state;

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Ends the program when an ioctl has failed: with status 0 if the device is gone. */
static void must(int error, const char *name)
{
	if (error == ENODEV)
		exit(0);
	if (error)
		errx(2, "%s: %s", name, server_error_name(error));
}

static void load(uint64_t offset, uint64_t length)
{
	uint64_t done = 0;
	ssize_t r;

	while (done < length) {
		r = pread(file, buffer + done, length - done, offset + done);
		if (r < 0)
			err(2, "reading the file");
		if (!r)
			break;
		done += r;
	}
	memset(buffer + done, 0, length - done);
}

static bool is_zero(uint64_t length)
{
	return !buffer[0] && !memcmp(buffer, buffer + 1, length - 1);
}

static bool must_fail(uint64_t offset, uint64_t length)
{
	return offset < options.fail_offset + options.fail_length &&
	       options.fail_offset < offset + length;
}

static int send_data(uint64_t offset, uint64_t length, uint32_t flags)
{
	load(offset, length);
	/* Every other time only: FILL with a buffer of zeros must work as well. */
	if (is_zero(length) && rand_r(&random_state) % 2)
		return server_zero(control, flags, offset, length, NULL);
	return server_fill(control, flags, offset, length, buffer, NULL);
}

/* Send one answer, for at most chunk_bytes. */
static void answer(uint64_t offset, uint64_t length, uint32_t flags)
{
	int error;

	if (must_fail(offset, length))
		error = server_fail(control, flags, offset, length,
				    options.fail_errno);
	else
		error = send_data(offset, length, flags);
	if (error == ENODEV)
		exit(0);
	if (error)
		printf("answer %llu %llu: %s\n", (unsigned long long)offset,
		       (unsigned long long)length, server_error_name(error));
}

/* Answer in chunks, and block by block where a part of a chunk must fail. */
static void answer_all(uint64_t offset, uint64_t length, uint32_t flags)
{
	uint64_t n;

	for (; length; offset += n, length -= n) {
		n = min_u64(length, chunk_bytes);
		if (must_fail(offset, n))
			n = min_u64(length, block_bytes);
		answer(offset, n, flags);
	}
}

static void answer_odd(uint64_t offset, uint64_t length)
{
	uint64_t blocks = (length + block_bytes - 1) / block_bytes;
	uint64_t n, from, to;

	for (; blocks; blocks -= n) {
		n = min_u64(blocks, 1 + rand_r(&random_state) % 3);
		from = offset + (blocks - n) * block_bytes;
		to = min_u64(offset + blocks * block_bytes, device_bytes);
		answer_all(from, to - from, 0);
		if (rand_r(&random_state) % 3 == 0)
			answer_all(from, to - from, 0);
		if (from >= block_bytes && rand_r(&random_state) % 3 == 0)
			answer_all(from - block_bytes, to - from + block_bytes,
				   0);
	}
}

static void told(const struct dm_alloctrack_range *range)
{
	printf("told %llu %llu\n", (unsigned long long)range->offset,
	       (unsigned long long)range->length);
	if (options.die_after && ++nr_told >= options.die_after)
		kill(getpid(), SIGKILL);
	while (options.hold && access(options.hold, F_OK))
		usleep(5000);
	if (options.delay_ms)
		usleep(options.delay_ms * 1000);
	if (options.odd)
		answer_odd(range->offset, range->length);
	else
		answer_all(range->offset, range->length, 0);
}

static void init_thread(unsigned int index)
{
	void *memory;

	if (posix_memalign(&memory, 4096, chunk_bytes))
		err(2, "memory");
	buffer = memory;
	random_state = index;
}

static void *serve(void *argument)
{
	init_thread((uintptr_t)argument);
	must(server_loop(control, told), "WAIT");
	return NULL;
}

/* The next unallocated extent at or after @offset; false: none. */
static bool next_extent(struct dm_alloctrack_next *next, uint64_t offset)
{
	if (offset >= device_bytes)
		return false;
	must(server_next(control, DM_ALLOCTRACK_NEXT_UNALLOCATED, offset, next), "NEXT");
	return next->length;
}

static void *stream(void *argument)
{
	struct dm_alloctrack_info info;
	struct dm_alloctrack_next next;
	uint64_t offset = 0, n;

	init_thread((uintptr_t)argument);
	for (;;) {
		must(server_info(control, &info), "INFO");
		if (info.state != DM_ALLOCTRACK_RUNNING) {
			server_poll(control, POLLPRI, -1);
			offset = 0;
			continue;
		}
		if (!next_extent(&next, offset)) {
			printf("streamed\n");
			server_poll(control, POLLPRI, -1);
			continue;
		}
		n = min_u64(next.length, chunk_bytes);
		if (must_fail(next.offset, n))
			n = min_u64(n, block_bytes);
		answer(next.offset, n, DM_ALLOCTRACK_STREAM);
		offset = next.offset + n;
		if (options.delay_ms)
			usleep(options.delay_ms * 1000);
	}
	return NULL;
}

static void attach(const char *number)
{
	dev_t device = server_parse_device(number);
	struct dm_alloctrack_info info;
	int error;

	control = server_must_open(0);
	error = server_attach(control, device);
	if (error)
		errx(1, "ATTACH: %s", server_error_name(error));
	must(server_info(control, &info), "INFO");
	device_bytes = info.device_bytes;
	block_bytes = info.block_bytes;
	chunk_bytes = block_bytes > CHUNK_BYTES ? block_bytes : CHUNK_BYTES;
	printf("attached\n");
}

static void parse_options(int argc, char **argv)
{
	static const struct option table[] = {
		{ "threads", required_argument, NULL, 't' },
		{ "stream", no_argument, NULL, 's' },
		{ "delay-ms", required_argument, NULL, 'd' },
		{ "fail-range", required_argument, NULL, 'f' },
		{ "hold", required_argument, NULL, 'h' },
		{ "die-after", required_argument, NULL, 'k' },
		{ "odd", no_argument, NULL, 'o' },
		{ }
	};
	unsigned long long offset, length;
	int c;

	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case 't':
			options.threads = atoi(optarg);
			break;
		case 's':
			options.stream = true;
			break;
		case 'd':
			options.delay_ms = atoi(optarg);
			break;
		case 'f':
			if (sscanf(optarg, "%llu:%llu:%u", &offset, &length,
				   &options.fail_errno) != 3)
				errx(2, "%s: not OFFSET:LENGTH:ERRNO", optarg);
			options.fail_offset = offset;
			options.fail_length = length;
			break;
		case 'h':
			options.hold = optarg;
			break;
		case 'k':
			options.die_after = atoi(optarg);
			break;
		case 'o':
			options.odd = true;
			break;
		default:
			exit(2);
		}
	}
	if (argc - optind != 2)
		errx(2, "usage: userver [OPTION]... MAJOR:MINOR FILE");
	if (options.threads > MAX_THREADS)
		errx(2, "--threads: at most %d", MAX_THREADS);
}

int main(int argc, char **argv)
{
	pthread_t threads[MAX_THREADS + 1];
	unsigned int i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse_options(argc, argv);
	file = open(argv[optind + 1], O_RDONLY | O_CLOEXEC);
	if (file < 0)
		err(2, "%s", argv[optind + 1]);
	attach(argv[optind]);
	for (i = 0; i < options.threads; i++)
		if (pthread_create(&threads[i], NULL, serve, (void *)(uintptr_t)i))
			err(2, "thread");
	if (options.stream) {
		if (pthread_create(&threads[i], NULL, stream,
				   (void *)(uintptr_t)i))
			err(2, "thread");
		i++;
	}
	while (i--)
		pthread_join(threads[i], NULL);
	return 2;
}
