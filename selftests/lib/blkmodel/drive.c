// SPDX-License-Identifier: GPL-2.0-only
/*
 * The threads. Each chooses an operation and a place at random, waits until no other
 * thread is at this place, runs the operation, and reports the result to the model.
 */
#include "drive.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "range-table.h"

const char *const op_names[NR_OPS] = {
	[OP_READ] = "read",
	[OP_WRITE] = "write",
	[OP_DISCARD] = "discard",
	[OP_ZERO] = "zero",
	[OP_FLUSH] = "flush",
	[OP_FUA] = "fua",
};

struct thread {
	pthread_t thread;
	struct drive *drive;
	unsigned int number;
	uint64_t random;
	void *buffer;
};

/* An operation and where. */
struct step {
	enum op op;
	uint64_t offset_bytes;
	uint64_t length_bytes;
};

double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static uint64_t next_random(struct thread *thread)
{
	uint64_t x = thread->random += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static uint64_t below(struct thread *thread, uint64_t limit)
{
	return limit ? (next_random(thread) >> 8) % limit : 0;
}

static uint64_t device_bytes(const struct drive *drive)
{
	return model_nr_sectors(drive->model) * SECTOR_BYTES;
}

static enum op pick_op(struct thread *thread)
{
	const unsigned int *weights = thread->drive->weights;
	unsigned int sum = 0, pick, op;

	for (op = 0; op < NR_OPS; op++)
		sum += weights[op];
	pick = below(thread, sum);
	for (op = 0; pick >= weights[op]; op++)
		pick -= weights[op];
	return op;
}

/* Lengths are distributed evenly on a logarithmic scale. */
static uint64_t pick_length(struct thread *thread)
{
	const struct drive *drive = thread->drive;
	uint64_t length = drive->min_io_bytes;
	unsigned int doublings = 0;

	while (length << doublings < drive->max_io_bytes)
		doublings++;
	length <<= below(thread, doublings + 1);
	if (below(thread, 2))
		length += below(thread, length);
	if (length > drive->max_io_bytes)
		length = drive->max_io_bytes;
	return length;
}

static uint64_t round_down(uint64_t value, uint64_t unit)
{
	return value - value % unit;
}

/*
 * A place for the step: anywhere, or in the first part of the device, where it meets
 * others, or with a start or an end at or near a block boundary.
 */
static void pick_place(struct thread *thread, struct step *step)
{
	const struct drive *drive = thread->drive;
	uint64_t bytes = device_bytes(drive), align = drive->align_bytes;
	uint64_t block = drive->block_bytes;
	uint64_t length = pick_length(thread);
	uint64_t at = below(thread, bytes);

	switch (below(thread, 8)) {
	case 0 ... 2:
		break;
	case 3 ... 4:
		at = below(thread, bytes / 16 + 1);
		break;
	case 5:
		at = round_down(at, block);
		break;
	case 6:
		at = round_down(at, block) + below(thread, 3) * align;
		at -= at >= align && below(thread, 2) ? align : 0;
		break;
	case 7:
		/* Whole blocks, if the limits allow it. */
		at = round_down(at, block);
		if (length < block && block <= drive->max_io_bytes)
			length = block;
		if (length > block)
			length = round_down(length, block);
		break;
	}
	at = round_down(at, align);
	length = round_down(length, align);
	if (at >= round_down(bytes, align))
		at = 0;
	if (length > round_down(bytes, align) - at)
		length = round_down(bytes, align) - at;
	step->offset_bytes = at;
	step->length_bytes = length;
}

/* Read or write all of it, or up to an error. Returns the number of bytes. */
static uint64_t transfer(struct thread *thread, const struct step *step,
			 int *error)
{
	int fd = thread->drive->fd, flags = step->op == OP_FUA ? RWF_DSYNC : 0;
	uint64_t done = 0;
	struct iovec part;
	ssize_t r;

	*error = 0;
	while (done < step->length_bytes) {
		part.iov_base = (char *)thread->buffer + done;
		part.iov_len = step->length_bytes - done;
		if (step->op == OP_READ)
			r = preadv(fd, &part, 1, step->offset_bytes + done);
		else
			r = pwritev2(fd, &part, 1, step->offset_bytes + done,
				     flags);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			*error = r ? errno : ENODATA;
			break;
		}
		done += r;
	}
	return done;
}

static void describe(const struct step *step, char *text, size_t bytes)
{
	snprintf(text, bytes, "%s of %" PRIu64 " bytes at %" PRIu64,
		 op_names[step->op], step->length_bytes, step->offset_bytes);
}

static int read_and_check(struct thread *thread, const struct step *step)
{
	struct drive *drive = thread->drive;
	char what[100];
	uint64_t done;
	int error;

	memset(thread->buffer, 0xee, step->length_bytes);
	done = transfer(thread, step, &error);
	describe(step, what, sizeof(what));
	if (!model_check(drive->model, step->offset_bytes / SECTOR_BYTES,
			 done / SECTOR_BYTES, thread->buffer, what)) {
		__atomic_store_n(&drive->wrong, true, __ATOMIC_RELAXED);
		__atomic_store_n(&drive->stop, true, __ATOMIC_RELAXED);
	}
	return error;
}

static int write_stamps(struct thread *thread, const struct step *step)
{
	struct model *model = thread->drive->model;
	uint64_t first = step->offset_bytes / SECTOR_BYTES;
	uint64_t nr = step->length_bytes / SECTOR_BYTES;
	uint32_t sequence = model_next_sequence(model);
	uint64_t done;
	int error;

	model_stamp(model, first, nr, sequence, thread->buffer);
	done = transfer(thread, step, &error) / SECTOR_BYTES;
	model_written(model, first, done, sequence, true);
	model_written(model, first + done, nr - done, sequence, false);
	return error;
}

static int zero_or_discard(struct thread *thread, const struct step *step)
{
	struct drive *drive = thread->drive;
	uint64_t range[2] = { step->offset_bytes, step->length_bytes };
	bool zero = step->op == OP_ZERO;
	int r;

	do {
		r = ioctl(drive->fd, zero ? BLKZEROOUT : BLKDISCARD, range);
	} while (r && errno == EINTR);
	/* The result of a discard is not certain, nor is that of a failed operation. */
	model_zeroed(drive->model, step->offset_bytes / SECTOR_BYTES,
		     step->length_bytes / SECTOR_BYTES, zero && !r);
	return r ? errno : 0;
}

static int do_step(struct thread *thread, const struct step *step)
{
	int error = 0;

	if (step->op == OP_FLUSH)
		return fdatasync(thread->drive->fd) ? errno : 0;

	range_enter(thread->number, step->offset_bytes / SECTOR_BYTES,
		    step->length_bytes / SECTOR_BYTES, step->op != OP_READ);
	switch (step->op) {
	case OP_READ:
		error = read_and_check(thread, step);
		break;
	case OP_WRITE:
	case OP_FUA:
		error = write_stamps(thread, step);
		break;
	case OP_DISCARD:
	case OP_ZERO:
		error = zero_or_discard(thread, step);
		break;
	default:
		break;
	}
	range_leave(thread->number);
	return error;
}

static void note_result(struct drive *drive, const struct step *step, int error)
{
	char what[100];

	if (!error) {
		__atomic_fetch_add(&drive->done[step->op], 1, __ATOMIC_RELAXED);
		return;
	}
	__atomic_fetch_add(&drive->failed[step->op], 1, __ATOMIC_RELAXED);
	/* A device may not support discards. */
	if (drive->errors_allowed ||
	    (error == EOPNOTSUPP && step->op == OP_DISCARD))
		return;
	describe(step, what, sizeof(what));
	fprintf(stderr, "blkmodel: %s: %s; seed %" PRIu64 "\n", what,
		strerror(error), drive->seed);
	__atomic_store_n(&drive->wrong, true, __ATOMIC_RELAXED);
	__atomic_store_n(&drive->stop, true, __ATOMIC_RELAXED);
}

static bool may_go_on(struct drive *drive)
{
	if (__atomic_load_n(&drive->stop, __ATOMIC_RELAXED))
		return false;
	if (drive->max_ops &&
	    __atomic_fetch_add(&drive->started, 1, __ATOMIC_RELAXED) >=
	    drive->max_ops)
		return false;
	return !drive->deadline_s || now_s() < drive->deadline_s;
}

static void *run_thread(void *argument)
{
	struct thread *thread = argument;
	struct step step;

	while (may_go_on(thread->drive)) {
		step.op = pick_op(thread);
		pick_place(thread, &step);
		note_result(thread->drive, &step, do_step(thread, &step));
	}
	return NULL;
}

static void init_thread(struct drive *drive, struct thread *thread,
			unsigned int number)
{
	thread->drive = drive;
	thread->number = number;
	thread->random = drive->seed * MAX_THREADS + number;
	if (posix_memalign(&thread->buffer, 4096, drive->max_io_bytes))
		err(2, "memory for %" PRIu64 " bytes of I/O", drive->max_io_bytes);
}

bool drive_run(struct drive *drive)
{
	struct thread threads[MAX_THREADS];
	unsigned int i;

	for (i = 0; i < drive->nr_threads; i++) {
		init_thread(drive, &threads[i], i);
		if (pthread_create(&threads[i].thread, NULL, run_thread,
				   &threads[i]))
			errx(2, "cannot start a thread");
	}
	for (i = 0; i < drive->nr_threads; i++) {
		pthread_join(threads[i].thread, NULL);
		free(threads[i].buffer);
	}
	return !drive->wrong;
}

bool drive_verify(struct drive *drive)
{
	uint64_t bytes = device_bytes(drive);
	struct step step = { .op = OP_READ };
	struct thread thread;

	init_thread(drive, &thread, 0);
	for (; step.offset_bytes < bytes && !drive->wrong;
	     step.offset_bytes += step.length_bytes) {
		step.length_bytes = bytes - step.offset_bytes;
		if (step.length_bytes > drive->max_io_bytes)
			step.length_bytes = drive->max_io_bytes;
		note_result(drive, &step, do_step(&thread, &step));
	}
	free(thread.buffer);
	return !drive->wrong;
}
