/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_CHANNEL_H
#define DMLIVE_RESTORE_CHANNEL_H

/*
 * The kernel, as the engine sees it: a function for each ioctl of
 * include/uapi/linux/dm-alloctrack.h. Tests of the engine replace it by a fake.
 *
 * Any number of threads may call the functions at the same time. They return 0 or a
 * negative errno; -ENODEV once the mapped device is gone. Offsets and lengths are in
 * bytes, aligned as that header says.
 */

#include <stdbool.h>
#include <stdint.h>

#include <linux/dm-alloctrack.h>

struct channel;

struct channel_ops {
	int (*info)(struct channel *channel, struct dm_alloctrack_info *info);

	/*
	 * Sleep until guest I/O waits, and take at most @max ranges. Returns their
	 * number; 0: @stop was called, or streaming has served them already; or an
	 * error.
	 */
	int (*wait)(struct channel *channel, struct dm_alloctrack_range *ranges,
		    unsigned int max);

	/*
	 * Sleep. Returns 1: the state of the job has changed since the last INFO of any
	 * thread, or @wake was called; 0: @stop was called, or the time is up; or an
	 * error.
	 */
	int (*wait_control)(struct channel *channel, int timeout_ms);

	int (*fill)(struct channel *channel, bool stream, uint64_t offset,
		    uint64_t length, const void *buffer);
	int (*zero)(struct channel *channel, bool stream, uint64_t offset,
		    uint64_t length);
	int (*fail)(struct channel *channel, bool stream, uint64_t offset,
		    uint64_t length, int error);

	/*
	 * The first unallocated extent at or after *@offset. *@length 0: there is none.
	 */
	int (*next_unallocated)(struct channel *channel, uint64_t *offset,
				uint64_t *length);

	/* Set the error policy, as the message on_error does. */
	int (*set_on_error)(struct channel *channel,
			    enum dm_alloctrack_on_error on_error);

	/* Make the present or the next call of wait_control return. */
	void (*wake)(struct channel *channel);

	/* From now on wait and wait_control return at once. */
	void (*stop)(struct channel *channel);
};

struct channel {
	const struct channel_ops *ops;
};

/*
 * Open the channel to a mapped device, /dev/dm-alloctrack. @name is kept by reference.
 * Returns 0 or a negative errno after a message; -EBUSY: another server is attached;
 * -EOPNOTSUPP: the device is not served from user space.
 */
int control_channel_open(const char *name, unsigned int major,
			 unsigned int minor, struct channel **channel);
void control_channel_close(struct channel *channel);

#endif /* DMLIVE_RESTORE_CHANNEL_H */
