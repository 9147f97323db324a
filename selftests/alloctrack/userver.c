// SPDX-License-Identifier: GPL-2.0-only
/*
 * userver: a small user server for tests. It serves a raw file as the backing
 * of a device, well or badly as told.
 *
 *	userver [OPTION]... MAJOR:MINOR FILE
 *	  --threads N			servers of faults, default 2
 *	  --stream			stream as the job says
 *	  --delay-ms N			before each answer
 *	  --fail-range OFF:LEN:ERRNO	FAIL these bytes
 *	  --hold PATH			answer nothing until PATH exists
 *	  --die-after N			kill itself when told the Nth range
 *	  --odd				answer in odd parts, from the end, twice,
 *					and with more than was asked for
 *
 * Lines on standard output: "attached", "told OFFSET LENGTH", "answer OFFSET
 * LENGTH: ERROR", "streamed" (nothing is left to stream). Past the end of FILE
 * there are zeros. Exit status: 0 when the device is gone, 1 when it cannot
 * attach, 2 for anything else.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/dm-alloctrack.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_THREADS	16
#define MAX_RANGES	8	/* of one WAIT */
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

static void get_info(struct dm_alloctrack_info *info)
{
	*info = (struct dm_alloctrack_info){ .size = sizeof(*info) };
	if (!ioctl(control, DM_ALLOCTRACK_IOC_INFO, info))
		return;
	if (errno == ENODEV)
		exit(0);
	err(2, "INFO");
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

static int send_fail(uint64_t offset, uint64_t length, uint32_t flags)
{
	struct dm_alloctrack_fail fail = {
		.size = sizeof(fail), .flags = flags, .offset = offset,
		.length = length, .error = options.fail_errno,
	};

	return ioctl(control, DM_ALLOCTRACK_IOC_FAIL, &fail);
}

static int send_data(uint64_t offset, uint64_t length, uint32_t flags)
{
	struct dm_alloctrack_zero zero = {
		.size = sizeof(zero), .flags = flags, .offset = offset,
		.length = length,
	};
	struct dm_alloctrack_fill fill = {
		.size = sizeof(fill), .flags = flags, .offset = offset,
		.length = length, .buffer = (uintptr_t)buffer,
	};

	load(offset, length);
	/* One time in two: the kernel sees zeros by itself too. */
	if (is_zero(length) && rand_r(&random_state) % 2)
		return ioctl(control, DM_ALLOCTRACK_IOC_ZERO, &zero);
	return ioctl(control, DM_ALLOCTRACK_IOC_FILL, &fill);
}

/* One answer, at most chunk_bytes. */
static void answer(uint64_t offset, uint64_t length, uint32_t flags)
{
	int r;

	if (must_fail(offset, length))
		r = send_fail(offset, length, flags);
	else
		r = send_data(offset, length, flags);
	if (!r)
		return;
	if (errno == ENODEV)
		exit(0);
	printf("answer %llu %llu: %s\n", (unsigned long long)offset,
	       (unsigned long long)length, strerror(errno));
}

/* Answers in chunks, block by block where some of a chunk must fail. */
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
	struct dm_alloctrack_range ranges[MAX_RANGES];
	struct dm_alloctrack_wait wait;

	init_thread((uintptr_t)argument);
	for (;;) {
		wait = (struct dm_alloctrack_wait){
			.size = sizeof(wait),
			.max = MAX_RANGES,
			.ranges = (uintptr_t)ranges,
		};
		if (ioctl(control, DM_ALLOCTRACK_IOC_WAIT, &wait)) {
			if (errno == ENODEV)
				exit(0);
			err(2, "WAIT");
		}
		for (unsigned int i = 0; i < wait.nr; i++)
			told(&ranges[i]);
	}
	return NULL;
}

/* The next unallocated extent at or after @offset; false: none. */
static bool next_extent(struct dm_alloctrack_next *next, uint64_t offset)
{
	if (offset >= device_bytes)
		return false;
	*next = (struct dm_alloctrack_next){
		.size = sizeof(*next), .offset = offset,
		.flags = DM_ALLOCTRACK_NEXT_UNALLOCATED,
	};
	if (ioctl(control, DM_ALLOCTRACK_IOC_NEXT, next)) {
		if (errno == ENODEV)
			exit(0);
		err(2, "NEXT");
	}
	return next->length;
}

static void *stream(void *argument)
{
	struct pollfd poll_control = { .fd = control, .events = POLLPRI };
	struct dm_alloctrack_info info;
	struct dm_alloctrack_next next;
	uint64_t offset = 0, n;

	init_thread((uintptr_t)argument);
	for (;;) {
		get_info(&info);
		if (info.state != DM_ALLOCTRACK_RUNNING) {
			poll(&poll_control, 1, -1);
			offset = 0;
			continue;
		}
		if (!next_extent(&next, offset)) {
			printf("streamed\n");
			poll(&poll_control, 1, -1);
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
	struct dm_alloctrack_attach attach = { .size = sizeof(attach) };
	struct dm_alloctrack_info info;

	if (sscanf(number, "%u:%u", &attach.major, &attach.minor) != 2)
		errx(2, "%s: not MAJOR:MINOR", number);
	control = open("/dev/" DM_ALLOCTRACK_NODE, O_RDWR | O_CLOEXEC);
	if (control < 0)
		err(2, "/dev/" DM_ALLOCTRACK_NODE);
	if (ioctl(control, DM_ALLOCTRACK_IOC_ATTACH, &attach))
		err(1, "ATTACH");
	get_info(&info);
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
