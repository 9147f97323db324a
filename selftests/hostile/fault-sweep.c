// SPDX-License-Identifier: GPL-2.0-only
/*
 * fault-sweep: each allocation of an operation fails once, see sweep.h. The caller
 * selects in debugfs which allocations count. I/O must succeed in spite of faults,
 * since it has reserved memory.
 *
 * Prints a line for each step, "ok - NAME: N of M allocations" or "not ok - ...", after
 * a comment for each failure. Exit status: 0 if all steps passed.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dmctl.h"
#include "sweep.h"

/* An operation with more allocations than this is taken to be endless. */
#define MAX_NTH		20000

#define MAX_IO_BYTES	(1u << 20)

struct devices devices;

static int nth_fd;
static unsigned int failures;
/*
 * All of the first and of the last "dense" allocations fail in turn, as each is made in
 * a different place. Of those between, which are pages of pools, only every stride-th.
 */
static unsigned int dense, stride;
static bool must_work;
static dev_t device, view;

static void set_nth(unsigned int nth)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(nth_fd, text, length, 0) != length)
		err(2, "fail-nth");
}

/* Has an allocation failed since set_nth()? */
static bool end_nth(void)
{
	char text[16] = "";

	if (pread(nth_fd, text, sizeof(text) - 1, 0) < 0)
		err(2, "fail-nth");
	set_nth(0);
	return !strtoul(text, NULL, 10);
}

bool sweep_must(int error, const char *what)
{
	if (!error)
		return true;
	printf("# %s: %s\n", what, strerrorname_np(error));
	failures++;
	return false;
}

static bool is_refusal(int error)
{
	return error == ENOMEM || error == EIO;
}

/* Returns true if there was an @nth allocation. */
static bool sweep_one(const struct step *step, unsigned int nth)
{
	bool injected;
	int error;

	if (step->before)
		step->before();
	set_nth(nth);
	error = step->run();
	injected = end_nth();
	if (error && (!injected || must_work || !is_refusal(error))) {
		printf("# allocation %u: %s\n", nth, strerrorname_np(error));
		failures++;
	}
	if (error)
		sweep_must(step->run(), "tried again");
	if (step->after)
		step->after();
	return injected;
}

/* The number of allocations when none fails. */
static unsigned int count_allocations(const struct step *step)
{
	char text[16] = "";

	if (step->before)
		step->before();
	set_nth(MAX_NTH);
	sweep_must(step->run(), "without a fault");
	if (pread(nth_fd, text, sizeof(text) - 1, 0) < 0)
		err(2, "fail-nth");
	set_nth(0);
	if (step->after)
		step->after();
	return MAX_NTH - strtoul(text, NULL, 10);
}

static unsigned int next_nth(unsigned int nth, unsigned int nr)
{
	if (nth < dense || nth + dense > nr)
		return nth + 1;
	return nth + stride < nr - dense ? nth + stride : nr - dense + 1;
}

static void sweep(const struct step *step)
{
	unsigned int failed_before = failures;
	unsigned int nr, nth = 1, nr_faults = 0;

	/* The first time more may be allocated, which is kept for later. */
	count_allocations(step);
	nr = count_allocations(step);
	while (failures - failed_before < 10 && nth < MAX_NTH) {
		if (!sweep_one(step, nth))
			break;
		nr_faults++;
		nth = next_nth(nth, nr);
	}
	if (nth >= MAX_NTH)
		sweep_must(ELOOP, "no end of allocations");
	printf("%sok - %s: %u of %u allocations\n",
	       failures > failed_before ? "not " : "", step->name, nr_faults,
	       nth - 1);
	fflush(stdout);
}

void make_device(void)
{
	if (!device)
		sweep_must(dmctl_create(DEVICE, &device), "create");
}

void clear_device(void)
{
	sweep_must(dmctl_clear(DEVICE), "clear");
}

void forget_device(void)
{
	device = 0;
}

void drop_device(void)
{
	sweep_must(remove_device(), "remove");
	device = 0;
}

void make_view(void)
{
	sweep_must(dmctl_create(VIEW, &view), "create a view");
}

void drop_view(void)
{
	sweep_must(dmctl_remove(VIEW), "remove the view");
}

int load_device(const char *target, const char *arguments)
{
	return dmctl_load(DEVICE, devices.sectors, target, arguments, false);
}

int suspend_device(void)
{
	return dmctl_suspend(DEVICE, 0);
}

int resume_device(void)
{
	return dmctl_resume(DEVICE);
}

int query_device(void)
{
	char text[512];

	return dmctl_status(DEVICE, false, text, sizeof(text)) ?:
	       dmctl_status(DEVICE, true, text, sizeof(text));
}

int remove_device(void)
{
	return dmctl_remove(DEVICE);
}

int start_job(const char *message)
{
	int error = dmctl_message(DEVICE, message);

	/* The first try may have run out of memory for its answer only. */
	return error == EALREADY ? 0 : error;
}

const char *device_path(void)
{
	static char path[32];

	return dmctl_path(device, path);
}

static int open_node(dev_t number)
{
	char path[32];
	int fd = open(dmctl_path(number, path), O_RDWR | O_DIRECT | O_CLOEXEC);

	if (fd < 0)
		err(2, "%s", path);
	return fd;
}

int open_device(void)
{
	return open_node(device);
}

int open_view(void)
{
	return open_node(view);
}

const char *table(const char *format, ...)
{
	static char texts[4][512];
	static unsigned int next;
	char *text = texts[next++ % 4];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(texts[0]), format, arguments);
	va_end(arguments);
	return text;
}

static char *io_buffer(void)
{
	static char *buffer;

	if (!buffer && posix_memalign((void **)&buffer, 4096, MAX_IO_BYTES))
		errx(2, "no memory");
	return buffer;
}

int write_pattern(int fd, uint64_t offset, uint32_t bytes, unsigned char pattern)
{
	char *buffer = io_buffer();

	memset(buffer, pattern, bytes);
	return pwrite(fd, buffer, bytes, offset) == bytes ? 0 : errno;
}

int read_pattern(int fd, uint64_t offset, uint32_t bytes, unsigned char pattern)
{
	char *buffer = io_buffer();
	int error = 0;
	uint32_t i;

	if (pread(fd, buffer, bytes, offset) != bytes)
		return errno;
	for (i = 0; i < bytes && !error; i++)
		if ((unsigned char)buffer[i] != pattern)
			error = EBADMSG;
	return error;
}

int discard(int fd, uint64_t offset, uint64_t bytes)
{
	uint64_t range[2] = { offset, bytes };

	return ioctl(fd, BLKDISCARD, range) ? errno : 0;
}

static const struct list {
	const char *name;
	const struct step *steps;
	bool must_work;
} lists[] = {
	{ "alloctrack", alloctrack_steps, false },
	{ "server", server_steps, false },
	{ "cbw", cbw_steps, false },
	{ "cbw-track", cbw_track_steps, false },
	{ "alloctrack-io", alloctrack_io_steps, true },
	{ "cbw-io", cbw_io_steps, true },
};

static const struct step *find_steps(const char *name)
{
	unsigned int i;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		if (!strcmp(name, lists[i].name)) {
			must_work = lists[i].must_work;
			return lists[i].steps;
		}
	}
	errx(2, "%s: no such list of steps", name);
}

int main(int argc, char **argv)
{
	const struct step *step;

	if (argc != 9)
		errx(2, "usage: fault-sweep LIST DENSE STRIDE FILE BACKING META SECTORS BLOCK_SECTORS");
	dense = strtoul(argv[2], NULL, 10);
	stride = strtoul(argv[3], NULL, 10);
	devices.file = argv[4];
	devices.backing = argv[5];
	devices.meta = argv[6];
	devices.sectors = strtoull(argv[7], NULL, 10);
	devices.block_sectors = strtoul(argv[8], NULL, 10);

	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0)
		err(2, "/proc/thread-self/fail-nth");
	for (step = find_steps(argv[1]); step->name; step++)
		sweep(step);
	if (device)
		drop_device();
	return failures ? 1 : 0;
}
