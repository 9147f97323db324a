/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SELFTESTS_FAKE_KERNEL_H
#define SELFTESTS_FAKE_KERNEL_H

/*
 * A mapped device in memory behind the channel of the restore engine: bitmap,
 * faults, stream job and policies act as include/uapi/linux/dm-alloctrack.h says.
 */

#include <stdbool.h>
#include <stdint.h>

#include "restore/channel.h"

#define FAKE_MAX_BLOCKS	4096

enum fake_answer {
	FAKE_WAITING,
	FAKE_SERVED,
	FAKE_FAILED,
};

struct fake_kernel;

struct fake_kernel *fake_kernel_new(uint64_t device_bytes,
				    uint32_t block_bytes);
void fake_kernel_free(struct fake_kernel *kernel);
struct channel *fake_channel(struct fake_kernel *kernel);

/* The effects of messages. */
void fake_set_state(struct fake_kernel *kernel, enum dm_alloctrack_state state);
void fake_set_on_error(struct fake_kernel *kernel,
		       enum dm_alloctrack_on_error on_error);

/* The guest. fake_fault() returns a number for fake_answer_of(). */
unsigned int fake_fault(struct fake_kernel *kernel, uint64_t offset,
			uint64_t length);
void fake_guest_write(struct fake_kernel *kernel, uint64_t offset,
		      uint64_t length, uint8_t byte);
/* FILL and ZERO of blocks from @offset fail with -@error; 0: no more. */
void fake_write_error(struct fake_kernel *kernel, uint64_t offset,
		      uint64_t length, int error);
void fake_remove(struct fake_kernel *kernel);

/* Sleep until this state is reached; the test fails if it takes too long. */
enum fake_answer fake_wait_answer(struct fake_kernel *kernel,
				  unsigned int fault);
void fake_wait_state(struct fake_kernel *kernel,
		     enum dm_alloctrack_state state);
/* No call is in progress, and there was none for a while. */
void fake_wait_quiet(struct fake_kernel *kernel);

/* Counters. */
struct dm_alloctrack_info fake_info(struct fake_kernel *kernel);
bool fake_is_allocated(struct fake_kernel *kernel, uint64_t offset);
const uint8_t *fake_data(struct fake_kernel *kernel);

struct fake_counts {
	unsigned int stream_calls;	/* FILL and ZERO with STREAM */
	unsigned int fault_calls;	/* and without */
	unsigned int fill_calls;
	unsigned int zero_calls;
	unsigned int policy_changes;
};
struct fake_counts fake_counts(struct fake_kernel *kernel);

#endif /* SELFTESTS_FAKE_KERNEL_H */
