// SPDX-License-Identifier: GPL-2.0-only
/*
 * crash-writer: the guest of the crash test.
 *
 *	crash-writer device=DEV marks=DEV journal=FILE window=SECTOR:SECTORS
 *		[window2=SECTOR:SECTORS] [fua-device=DEV fua-window=SECTOR:SECTORS]
 *		[ops=N] [threads=N] [seed=N] [block=SECTORS] [unit=SECTORS]
 *
 * Several threads write, flush, discard, zero and read. Every promise that the
 * device makes is recorded as a mark (see log.h) on DEV:
 *
 *	A<n>	a flush has ended that began after n operations were acknowledged,
 *		so these are durable
 *	S<n>	write number n, with FUA, was acknowledged, so it is durable
 *
 * FUA writes have a window of their own, and go to a device of their own that passes
 * FUA but no flush, since the kernel sends a flush after each O_DSYNC write. At the
 * end the journal is written, see stamp.h.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../lib/replay/args.h"
#include "stamp.h"

#define MAX_THREADS	32
#define MAX_WRITE_SECTORS 512u
#define WRITES_A_FLUSH	12

struct range {
	uint64_t sector;
	uint64_t nr_sectors;
};

enum { FUA_WINDOW = 2, NR_WINDOWS };

static const char *device_path, *fua_path, *marks_path, *journal_path;
static uint64_t windows[NR_WINDOWS][2];		/* first sector, sectors */
static uint64_t nr_ops = 1000, nr_threads = 6, seed = 1, block_sectors = 8;
static uint64_t unit_sectors = 1;		/* of the logical block size */

/* The lock protects all of these. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stamp_record *journal;
static uint64_t next_number, nr_acknowledged;
static struct range in_flight[MAX_THREADS];

struct thread {
	pthread_t thread;
	unsigned int index;
	uint64_t random;
	int device, fua_device, marks;
	void *buffer, *mark;
};

static uint64_t random_below(struct thread *thread, uint64_t limit)
{
	thread->random ^= thread->random << 13;
	thread->random ^= thread->random >> 7;
	thread->random ^= thread->random << 17;
	return (thread->random >> 11) % limit;
}

static void mark(struct thread *thread, char kind, uint64_t number)
{
	char *text = thread->mark;

	memset(text, 0, STAMP_SECTOR_BYTES);
	sprintf(text, "%c%llu\n", kind, (unsigned long long)number);
	if (pwrite(thread->marks, text, STAMP_SECTOR_BYTES,
		   (1 + thread->index) * STAMP_SECTOR_BYTES) !=
	    STAMP_SECTOR_BYTES)
		err(1, "%s", marks_path);
}

static bool overlap(const struct range *a, const struct range *b)
{
	return a->nr_sectors && a->sector < b->sector + b->nr_sectors &&
	       b->sector < a->sector + a->nr_sectors;
}

/* A number for an operation on @range; 0: another operation is under way there. */
static uint64_t begin(struct thread *thread, const struct range *range,
		      enum stamp_kind kind)
{
	uint64_t number = 0;
	uint64_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < nr_threads; i++)
		if (overlap(&in_flight[i], range))
			break;
	if (i == nr_threads) {
		in_flight[thread->index] = *range;
		number = ++next_number;
		journal[number - 1] = (struct stamp_record) {
			.sector = range->sector,
			.nr_sectors = range->nr_sectors,
			.kind = kind,
		};
	}
	pthread_mutex_unlock(&lock);
	return number;
}

static void acknowledge(struct thread *thread, uint64_t number)
{
	pthread_mutex_lock(&lock);
	journal[number - 1].ack = ++nr_acknowledged;
	in_flight[thread->index].nr_sectors = 0;
	pthread_mutex_unlock(&lock);
}

/* A random range in a window: @nr sectors at a multiple of @align. */
static struct range choose(struct thread *thread, int window, uint64_t nr,
			   uint64_t align)
{
	uint64_t places = (windows[window][1] - nr) / align + 1;

	return (struct range) {
		.sector = windows[window][0] +
			  random_below(thread, places) * align,
		.nr_sectors = nr,
	};
}

/* Parts of blocks, whole blocks, nearly whole blocks, and long writes. */
static struct range choose_range(struct thread *thread, int window)
{
	uint64_t nr, dice = random_below(thread, 100);

	if (dice < 40) {
		nr = (1 + random_below(thread, 8)) * unit_sectors;
		return choose(thread, window, nr, unit_sectors);
	}
	if (dice < 70)
		return choose(thread, window, block_sectors, block_sectors);
	if (dice < 95) {
		nr = (1 + random_below(thread, 128 / unit_sectors)) *
		     unit_sectors;
		return choose(thread, window, nr, unit_sectors);
	}
	nr = MAX_WRITE_SECTORS;
	return choose(thread, window, nr, unit_sectors);
}

static void write_stamped(struct thread *thread, int fd,
			  const struct range *range, uint64_t number)
{
	size_t bytes = range->nr_sectors * STAMP_SECTOR_BYTES;
	uint64_t i;
	ssize_t n;

	for (i = 0; i < range->nr_sectors; i++)
		stamp_make((char *)thread->buffer + i * STAMP_SECTOR_BYTES,
			   number, range->sector + i);
	n = pwrite(fd, thread->buffer, bytes,
		   range->sector * STAMP_SECTOR_BYTES);
	if (n != (ssize_t)bytes)
		err(1, "write %llu: %zd of %zu bytes",
		    (unsigned long long)number, n, bytes);
}

static void do_write(struct thread *thread, int window)
{
	struct range range = choose_range(thread, window);
	uint64_t number = begin(thread, &range, STAMP_WRITE);

	if (!number)
		return;
	write_stamped(thread, thread->device, &range, number);
	acknowledge(thread, number);
}

static void do_fua(struct thread *thread)
{
	struct range range = choose_range(thread, FUA_WINDOW);
	uint64_t number;

	if (thread->fua_device < 0)
		return;
	number = begin(thread, &range, STAMP_WRITE);
	if (!number)
		return;
	write_stamped(thread, thread->fua_device, &range, number);
	acknowledge(thread, number);
	mark(thread, 'S', number);
}

static void do_flush(struct thread *thread)
{
	uint64_t n;

	pthread_mutex_lock(&lock);
	n = nr_acknowledged;
	pthread_mutex_unlock(&lock);
	if (fdatasync(thread->device))
		err(1, "flush");
	mark(thread, 'A', n);
}

static void do_ioctl(struct thread *thread, int window,
		     enum stamp_kind kind)
{
	struct range range = choose_range(thread, window);
	uint64_t number = begin(thread, &range, kind);
	uint64_t bytes[2];

	if (!number)
		return;
	bytes[0] = range.sector * STAMP_SECTOR_BYTES;
	bytes[1] = range.nr_sectors * STAMP_SECTOR_BYTES;
	if (ioctl(thread->device, kind == STAMP_ZERO ? BLKZEROOUT : BLKDISCARD,
		  bytes))
		err(1, kind == STAMP_ZERO ? "zero" : "discard");
	acknowledge(thread, number);
}

static void do_read(struct thread *thread, int window)
{
	struct range range = choose_range(thread, window);
	size_t bytes = range.nr_sectors * STAMP_SECTOR_BYTES;

	if (pread(thread->device, thread->buffer, bytes,
		  range.sector * STAMP_SECTOR_BYTES) != (ssize_t)bytes)
		err(1, "read");
}

static bool enough(void)
{
	bool result;

	pthread_mutex_lock(&lock);
	result = next_number + nr_threads >= nr_ops;
	pthread_mutex_unlock(&lock);
	return result;
}

static void *run(void *argument)
{
	struct thread *thread = argument;

	while (!enough()) {
		int window = windows[1][1] ? random_below(thread, 2) : 0;
		uint64_t dice = random_below(thread, 100);

		if (dice < 60)
			do_write(thread, window);
		else if (dice < 72)
			do_fua(thread);
		else if (dice < 76)
			do_ioctl(thread, window, STAMP_DISCARD);
		else if (dice < 80)
			do_ioctl(thread, window, STAMP_ZERO);
		else if (dice < 88)
			do_read(thread, window);
		if (!random_below(thread, WRITES_A_FLUSH))
			do_flush(thread);
	}
	return NULL;
}

static int open_direct(const char *path, int flags)
{
	int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC | flags);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static void start(struct thread *thread, unsigned int index)
{
	thread->index = index;
	thread->random = seed * 0x9e3779b97f4a7c15ULL + index * 7919 + 1;
	thread->device = open_direct(device_path, 0);
	thread->fua_device = fua_path ? open_direct(fua_path, O_DSYNC) : -1;
	thread->marks = open_direct(marks_path, 0);
	if (posix_memalign(&thread->buffer, 4096,
			   MAX_WRITE_SECTORS * STAMP_SECTOR_BYTES) ||
	    posix_memalign(&thread->mark, 4096, STAMP_SECTOR_BYTES))
		errx(1, "out of memory");
	if (pthread_create(&thread->thread, NULL, run, thread))
		errx(1, "cannot make a thread");
}

static void write_journal(void)
{
	FILE *file = fopen(journal_path, "w");

	if (!file || fwrite(journal, sizeof(*journal), next_number, file) !=
		     next_number || fclose(file))
		err(1, "%s", journal_path);
}

static void parse_arguments(char **argv)
{
	const struct arg args[] = {
		{ "device", .text = &device_path },
		{ "fua-device", .text = &fua_path },
		{ "marks", .text = &marks_path },
		{ "journal", .text = &journal_path },
		{ "ops", .number = &nr_ops },
		{ "threads", .number = &nr_threads },
		{ "seed", .number = &seed },
		{ "block", .number = &block_sectors },
		{ "unit", .number = &unit_sectors },
		{ "window", .range = &windows[0] },
		{ "window2", .range = &windows[1] },
		{ "fua-window", .range = &windows[FUA_WINDOW] },
	};

	args_parse(args, sizeof(args) / sizeof(*args), argv);
	if (!device_path || !marks_path || !journal_path || !nr_threads ||
	    nr_threads > MAX_THREADS || windows[0][1] < MAX_WRITE_SECTORS)
		errx(2, "arguments are missing; the program's first comment has them");
}

int main(int argc, char **argv)
{
	struct thread threads[MAX_THREADS] = { };
	uint64_t i;

	(void)argc;
	parse_arguments(argv);
	journal = calloc(nr_ops + nr_threads, sizeof(*journal));
	if (!journal)
		errx(1, "out of memory");
	for (i = 0; i < nr_threads; i++)
		start(&threads[i], i);
	for (i = 0; i < nr_threads; i++)
		pthread_join(threads[i].thread, NULL);
	write_journal();
	printf("%llu operations, %llu acknowledged\n",
	       (unsigned long long)next_number,
	       (unsigned long long)nr_acknowledged);
	return 0;
}
