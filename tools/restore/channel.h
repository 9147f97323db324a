/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_CHANNEL_H
#define DMLIVE_RESTORE_CHANNEL_H

/*
 * The kernel's side of a restore, as the engine sees it: the ioctls of
 * include/uapi/linux/dm-alloctrack.h, one function each. Uses function pointers, so
 * that the engine can be tested against something else than the running kernel.
 *
 * All functions may be called by any number of threads at the same time, and
 * return 0 or a negative errno; -ENODEV once the mapped device is gone. Offsets
 * and lengths are in bytes, aligned as the header says.
 */

#include <stdbool.h>
#include <stdint.h>

#include <linux/dm-alloctrack.h>

struct channel;

struct channel_ops {
	int (*info)(struct channel *channel, struct dm_alloctrack_info *info);

	/*
	 * Sleep until guest I/O waits for something, and take at most @max
	 * ranges. Return: their number, 0 when @stop was called or nothing is left
	 * to take, or an error.
	 */
	int (*wait)(struct channel *channel, struct dm_alloctrack_range *ranges,
		    unsigned int max);

	/*
	 * Sleep until the stream control changed since the last INFO of any caller,
	 * or @wake was called (returns 1), or until @stop was called or the time is
	 * up (returns 0); or an error.
	 */
	int (*wait_control)(struct channel *channel, int timeout_ms);

	int (*fill)(struct channel *channel, bool stream, uint64_t offset,
		    uint64_t length, const void *buffer);
	int (*zero)(struct channel *channel, bool stream, uint64_t offset,
		    uint64_t length);
	int (*fail)(struct channel *channel, bool stream, uint64_t offset,
		    uint64_t length, int error);

	/*
	 * The first unallocated extent at or after *@offset; *@length is 0 when
	 * there is none.
	 */
	int (*next_unallocated)(struct channel *channel, uint64_t *offset,
				uint64_t *length);

	/* Set the error policy, as the message on_error does. */
	int (*set_on_error)(struct channel *channel,
			    enum dm_alloctrack_on_error on_error);

	/* Make one call of wait_control return, the present or the next one. */
	void (*wake)(struct channel *channel);

	/* Wake up those who sleep in wait and wait_control, for good. */
	void (*stop)(struct channel *channel);
};

struct channel {
	const struct channel_ops *ops;
};

/*
 * The channel to a mapped device through /dev/dm-alloctrack. Prints why it cannot be
 * opened: -EBUSY when another server is attached, -EOPNOTSUPP when the device is not
 * served from user space. @name is kept by reference.
 */
int control_channel_open(const char *name, unsigned int major,
			 unsigned int minor, struct channel **channel);
void control_channel_close(struct channel *channel);

#endif /* DMLIVE_RESTORE_CHANNEL_H */
