// SPDX-License-Identifier: GPL-2.0-only
/* A mapped device in memory, for the tests of the restore engine. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "fake-kernel.h"

#define MAX_FAULTS	1024
#define DEADLINE_S	20
#define QUIET_MS	50

struct fake_fault_state {
	uint64_t start, end;
	bool told;
	enum fake_answer answer;
	uint64_t missing;		/* blocks, one bit each */
};

struct fake_kernel {
	struct channel channel;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct dm_alloctrack_info info;
	bool control_changed;
	bool woken;
	bool stopped;
	bool gone;
	bool allocated[FAKE_MAX_BLOCKS];
	uint8_t *data;
	struct fake_fault_state faults[MAX_FAULTS];
	unsigned int nr_faults;
	uint64_t error_start, error_end;
	int error;
	unsigned int nr_calls;
	struct fake_counts counts;
};

static struct fake_kernel *kernel_of(struct channel *channel)
{
	return (struct fake_kernel *)channel;
}

static void lock(struct fake_kernel *kernel)
{
	pthread_mutex_lock(&kernel->lock);
	kernel->nr_calls++;
}

static void unlock(struct fake_kernel *kernel)
{
	pthread_cond_broadcast(&kernel->changed);
	pthread_mutex_unlock(&kernel->lock);
}

/* Returns false after the timeout. */
static bool wait_changed(struct fake_kernel *kernel, int timeout_ms)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	return !pthread_cond_timedwait(&kernel->changed, &kernel->lock, &until);
}

static void set_state(struct fake_kernel *kernel, uint32_t state)
{
	if (kernel->info.state == state)
		return;
	kernel->info.state = state;
	kernel->control_changed = true;
}

static void check_complete(struct fake_kernel *kernel)
{
	uint64_t block, nr = 0;

	for (block = 0; block < kernel->info.total_blocks; block++)
		nr += kernel->allocated[block];
	kernel->info.allocated_blocks = nr;
	if (nr == kernel->info.total_blocks)
		set_state(kernel, DM_ALLOCTRACK_COMPLETE);
}

static void stream_error(struct fake_kernel *kernel, int error)
{
	bool stop = kernel->info.on_error == DM_ALLOCTRACK_ON_ERROR_STOP ||
		    (kernel->info.on_error == DM_ALLOCTRACK_ON_ERROR_ENOSPC &&
		     error == ENOSPC);

	if (kernel->info.on_error != DM_ALLOCTRACK_ON_ERROR_IGNORE &&
	    kernel->info.state == DM_ALLOCTRACK_RUNNING)
		set_state(kernel, stop ? DM_ALLOCTRACK_STOPPED :
					 DM_ALLOCTRACK_FAILED);
}

static void check_range(struct fake_kernel *kernel, uint64_t offset,
			uint64_t length)
{
	assert_true(length > 0);
	assert_true(offset % kernel->info.block_bytes == 0);
	assert_true(offset + length <= kernel->info.device_bytes);
	assert_true(length % kernel->info.block_bytes == 0 ||
		    offset + length == kernel->info.device_bytes);
}

/* The blocks of the fault that are in the range, as bits of missing. */
static uint64_t common(struct fake_kernel *kernel,
		       const struct fake_fault_state *fault, uint64_t start,
		       uint64_t end)
{
	uint64_t bits = 0, offset;

	for (offset = fault->start; offset < fault->end;
	     offset += kernel->info.block_bytes)
		if (offset >= start && offset < end)
			bits |= 1ULL << ((offset - fault->start) /
					 kernel->info.block_bytes);
	return bits;
}

static void answer(struct fake_kernel *kernel, uint64_t start, uint64_t end,
		   enum fake_answer how)
{
	unsigned int i;

	for (i = 0; i < kernel->nr_faults; i++) {
		struct fake_fault_state *fault = &kernel->faults[i];
		uint64_t bits = common(kernel, fault, start, end);

		if (fault->answer != FAKE_WAITING || !bits)
			continue;
		fault->missing &= ~bits;
		if (how == FAKE_FAILED || !fault->missing) {
			fault->answer = how;
			kernel->info.fault_count--;
		}
	}
}

static int supply(struct fake_kernel *kernel, bool stream, uint64_t offset,
		  uint64_t length, const uint8_t *buffer)
{
	uint32_t block_bytes = kernel->info.block_bytes;
	uint64_t end = offset + length, position;

	check_range(kernel, offset, length);
	if (stream)
		kernel->counts.stream_calls++;
	else
		kernel->counts.fault_calls++;
	if (kernel->error && offset < kernel->error_end &&
	    end > kernel->error_start) {
		/* Reads get their data all the same: not so in this device. */
		if (stream) {
			kernel->info.write_errors++;
			stream_error(kernel, kernel->error);
		} else {
			answer(kernel, offset, end, FAKE_FAILED);
		}
		return -kernel->error;
	}
	for (position = offset; position < end; position += block_bytes) {
		uint64_t bytes = end - position < block_bytes ?
				 end - position : block_bytes;

		if (kernel->allocated[position / block_bytes])
			continue;
		if (buffer)
			memcpy(kernel->data + position,
			       buffer + (position - offset), bytes);
		else
			memset(kernel->data + position, 0, bytes);
		kernel->allocated[position / block_bytes] = true;
		if (stream)
			kernel->info.streamed_bytes += bytes;
	}
	answer(kernel, offset, end, FAKE_SERVED);
	check_complete(kernel);
	return 0;
}

static int fake_info_call(struct channel *channel,
			  struct dm_alloctrack_info *info)
{
	struct fake_kernel *kernel = kernel_of(channel);
	int r = 0;

	pthread_mutex_lock(&kernel->lock);
	if (kernel->gone)
		r = -ENODEV;
	kernel->control_changed = false;
	*info = kernel->info;
	pthread_mutex_unlock(&kernel->lock);
	return r;
}

static int fake_wait(struct channel *channel,
		     struct dm_alloctrack_range *ranges, unsigned int max)
{
	struct fake_kernel *kernel = kernel_of(channel);
	unsigned int i;
	int nr = 0;

	pthread_mutex_lock(&kernel->lock);
	while (!nr && !kernel->stopped && !kernel->gone) {
		for (i = 0; i < kernel->nr_faults && (unsigned int)nr < max;
		     i++) {
			if (kernel->faults[i].told)
				continue;
			kernel->faults[i].told = true;
			ranges[nr].offset = kernel->faults[i].start;
			ranges[nr++].length = kernel->faults[i].end -
					      kernel->faults[i].start;
		}
		if (!nr)
			wait_changed(kernel, 100);
	}
	if (kernel->gone)
		nr = -ENODEV;
	pthread_mutex_unlock(&kernel->lock);
	return nr;
}

static int fake_wait_control(struct channel *channel, int timeout_ms)
{
	struct fake_kernel *kernel = kernel_of(channel);
	int r;

	pthread_mutex_lock(&kernel->lock);
	while (!kernel->control_changed && !kernel->woken &&
	       !kernel->stopped && !kernel->gone)
		if (!wait_changed(kernel, timeout_ms))
			break;
	r = kernel->gone ? -ENODEV : kernel->control_changed || kernel->woken;
	kernel->woken = false;
	pthread_mutex_unlock(&kernel->lock);
	return r;
}

static int fake_fill(struct channel *channel, bool stream, uint64_t offset,
		     uint64_t length, const void *buffer)
{
	struct fake_kernel *kernel = kernel_of(channel);
	int r = -ENODEV;

	assert_true((uintptr_t)buffer % 4096 == 0);
	lock(kernel);
	kernel->counts.fill_calls++;
	if (!kernel->gone)
		r = supply(kernel, stream, offset, length, buffer);
	unlock(kernel);
	return r;
}

static int fake_zero(struct channel *channel, bool stream, uint64_t offset,
		     uint64_t length)
{
	struct fake_kernel *kernel = kernel_of(channel);
	int r = -ENODEV;

	lock(kernel);
	kernel->counts.zero_calls++;
	if (!kernel->gone)
		r = supply(kernel, stream, offset, length, NULL);
	unlock(kernel);
	return r;
}

static int fake_fail(struct channel *channel, bool stream, uint64_t offset,
		     uint64_t length, int error)
{
	struct fake_kernel *kernel = kernel_of(channel);

	lock(kernel);
	check_range(kernel, offset, length);
	assert_true(error > 0 && error < 4096);
	answer(kernel, offset, offset + length, FAKE_FAILED);
	if (stream) {
		kernel->info.read_errors++;
		stream_error(kernel, error);
	}
	unlock(kernel);
	return 0;
}

static int fake_next(struct channel *channel, uint64_t *offset,
		     uint64_t *length)
{
	struct fake_kernel *kernel = kernel_of(channel);
	uint32_t block_bytes = kernel->info.block_bytes;
	uint64_t nr = kernel->info.total_blocks;
	uint64_t first = *offset / block_bytes, last;
	int r;

	lock(kernel);
	assert_true(*offset < kernel->info.device_bytes);
	while (first < nr && kernel->allocated[first])
		first++;
	for (last = first; last < nr && !kernel->allocated[last];)
		last++;
	*offset = first * block_bytes;
	*length = last * block_bytes - *offset;
	if (first < nr && *offset + *length > kernel->info.device_bytes)
		*length = kernel->info.device_bytes - *offset;
	r = kernel->gone ? -ENODEV : 0;
	unlock(kernel);
	return r;
}

static int fake_on_error(struct channel *channel,
			 enum dm_alloctrack_on_error on_error)
{
	struct fake_kernel *kernel = kernel_of(channel);

	lock(kernel);
	kernel->info.on_error = on_error;
	kernel->control_changed = true;
	kernel->counts.policy_changes++;
	unlock(kernel);
	return 0;
}

static void fake_wake(struct channel *channel)
{
	struct fake_kernel *kernel = kernel_of(channel);

	lock(kernel);
	kernel->woken = true;
	unlock(kernel);
}

static void fake_stop(struct channel *channel)
{
	struct fake_kernel *kernel = kernel_of(channel);

	lock(kernel);
	kernel->stopped = true;
	unlock(kernel);
}

static const struct channel_ops fake_ops = {
	.info = fake_info_call,
	.wait = fake_wait,
	.wait_control = fake_wait_control,
	.fill = fake_fill,
	.zero = fake_zero,
	.fail = fake_fail,
	.next_unallocated = fake_next,
	.set_on_error = fake_on_error,
	.wake = fake_wake,
	.stop = fake_stop,
};

struct fake_kernel *fake_kernel_new(uint64_t device_bytes, uint32_t block_bytes)
{
	struct fake_kernel *kernel = calloc(1, sizeof(*kernel));

	assert_non_null(kernel);
	kernel->channel.ops = &fake_ops;
	pthread_mutex_init(&kernel->lock, NULL);
	pthread_cond_init(&kernel->changed, NULL);
	kernel->info.device_bytes = device_bytes;
	kernel->info.block_bytes = block_bytes;
	kernel->info.total_blocks = (device_bytes + block_bytes - 1) /
				    block_bytes;
	assert_true(kernel->info.total_blocks <= FAKE_MAX_BLOCKS);
	kernel->data = malloc(device_bytes);
	assert_non_null(kernel->data);
	/* Old data of the volume's previous owner. */
	memset(kernel->data, 0xee, device_bytes);
	return kernel;
}

void fake_kernel_free(struct fake_kernel *kernel)
{
	free(kernel->data);
	free(kernel);
}

struct channel *fake_channel(struct fake_kernel *kernel)
{
	return &kernel->channel;
}

void fake_set_state(struct fake_kernel *kernel, enum dm_alloctrack_state state)
{
	lock(kernel);
	set_state(kernel, state);
	unlock(kernel);
}

void fake_set_on_error(struct fake_kernel *kernel,
		       enum dm_alloctrack_on_error on_error)
{
	lock(kernel);
	kernel->info.on_error = on_error;
	kernel->control_changed = true;
	unlock(kernel);
}

unsigned int fake_fault(struct fake_kernel *kernel, uint64_t offset,
			uint64_t length)
{
	struct fake_fault_state *fault;
	unsigned int number;

	lock(kernel);
	check_range(kernel, offset, length);
	number = kernel->nr_faults++;
	assert_true(number < MAX_FAULTS);
	fault = &kernel->faults[number];
	fault->start = offset;
	fault->end = offset + length;
	fault->missing = common(kernel, fault, offset, offset + length);
	kernel->info.fault_count++;
	unlock(kernel);
	return number;
}

void fake_guest_write(struct fake_kernel *kernel, uint64_t offset,
		      uint64_t length, uint8_t byte)
{
	uint64_t position;

	lock(kernel);
	check_range(kernel, offset, length);
	memset(kernel->data + offset, byte, length);
	for (position = offset; position < offset + length;
	     position += kernel->info.block_bytes)
		kernel->allocated[position / kernel->info.block_bytes] = true;
	check_complete(kernel);
	unlock(kernel);
}

void fake_write_error(struct fake_kernel *kernel, uint64_t offset,
		      uint64_t length, int error)
{
	lock(kernel);
	kernel->error_start = offset;
	kernel->error_end = offset + length;
	kernel->error = error;
	unlock(kernel);
}

void fake_remove(struct fake_kernel *kernel)
{
	lock(kernel);
	kernel->gone = true;
	unlock(kernel);
}

enum fake_answer fake_wait_answer(struct fake_kernel *kernel,
				  unsigned int fault)
{
	time_t deadline = time(NULL) + DEADLINE_S;
	enum fake_answer answer;

	pthread_mutex_lock(&kernel->lock);
	while (kernel->faults[fault].answer == FAKE_WAITING &&
	       time(NULL) < deadline)
		wait_changed(kernel, 100);
	answer = kernel->faults[fault].answer;
	pthread_mutex_unlock(&kernel->lock);
	return answer;
}

void fake_wait_state(struct fake_kernel *kernel,
		     enum dm_alloctrack_state state)
{
	time_t deadline = time(NULL) + DEADLINE_S;
	uint32_t reached;

	pthread_mutex_lock(&kernel->lock);
	while (kernel->info.state != state && time(NULL) < deadline)
		wait_changed(kernel, 100);
	reached = kernel->info.state;
	pthread_mutex_unlock(&kernel->lock);
	assert_int_equal(reached, state);
}

void fake_wait_quiet(struct fake_kernel *kernel)
{
	time_t deadline = time(NULL) + DEADLINE_S;
	unsigned int before;

	pthread_mutex_lock(&kernel->lock);
	do {
		before = kernel->nr_calls;
		while (wait_changed(kernel, QUIET_MS))
			;
	} while (before != kernel->nr_calls && time(NULL) < deadline);
	pthread_mutex_unlock(&kernel->lock);
}

struct dm_alloctrack_info fake_info(struct fake_kernel *kernel)
{
	struct dm_alloctrack_info info;

	pthread_mutex_lock(&kernel->lock);
	info = kernel->info;
	pthread_mutex_unlock(&kernel->lock);
	return info;
}

bool fake_is_allocated(struct fake_kernel *kernel, uint64_t offset)
{
	bool allocated;

	pthread_mutex_lock(&kernel->lock);
	allocated = kernel->allocated[offset / kernel->info.block_bytes];
	pthread_mutex_unlock(&kernel->lock);
	return allocated;
}

const uint8_t *fake_data(struct fake_kernel *kernel)
{
	return kernel->data;
}

struct fake_counts fake_counts(struct fake_kernel *kernel)
{
	struct fake_counts counts;

	pthread_mutex_lock(&kernel->lock);
	counts = kernel->counts;
	pthread_mutex_unlock(&kernel->lock);
	return counts;
}
