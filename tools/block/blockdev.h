/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BLOCKDEV_H
#define DMLIVE_BLOCKDEV_H

/*
 * Block devices: what they are, who uses them, what they hold. Functions that return
 * an int return 0 or a negative errno, and print why they failed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "block/sysfs.h"

struct blockdev {
	char path[4096];		/* canonical, or /dev/mapper/NAME */
	dev_t devt;
	uint64_t bytes;
	uint32_t logical_block_bytes;
	bool read_only;
	bool writes_zeroes;		/* has a cheap way to zero a range */
};

int blockdev_open(const char *path, struct blockdev *device);

/*
 * Is the device, or a part of it, in use: mounted, swap space, held by another block
 * device, opened exclusively, locked as QEMU does it, or, if it is a mapped device,
 * open at all? -EBUSY, and prints what uses it. May wait for seconds.
 */
int blockdev_check_unused(const struct blockdev *device);

/* From now on this process waits for a second at most there: others wait for it. */
void blockdev_wait_briefly(void);

/*
 * Would writes to @device change files or devices that this process has open, since
 * they lie on it, or it on them? Prints which. -EBUSY.
 */
int blockdev_check_own_files(const struct blockdev *device);

/*
 * Only one process at a time attaches, detaches, restores or backs up to a device, or
 * makes a mapped device over it. A file descriptor, and the lock ends with it; or a
 * negative errno after a message, -EBUSY: there is another one.
 */
int blockdev_lock(const struct blockdev *device);

/* The same without a message. */
int blockdev_try_lock(const struct blockdev *device);

/* The same, with a pause of 50 ms between several tries. */
int blockdev_poll_lock(const struct blockdev *device, unsigned int tries);

/* Does a process hold such a lock of any device? */
bool blockdev_any_is_locked(void);

/*
 * A path that the device keeps across a restart of the machine, if there is one: that
 * of its logical volume, its mapped device's name, a link in /dev/disk/by-id; else
 * its canonical path. Returns @path.
 */
const char *blockdev_stable_path(const struct blockdev *device, char *path,
				 size_t path_bytes);

/* What identifies a device, whatever its path; "" when nothing does. Returns @text. */
const char *blockdev_identity(const struct blockdev *device, char *text,
			      size_t text_bytes);

/* Drop the device's pages from the page cache: the kernel's targets write past it. */
void blockdev_drop_cache(const char *path);

/*
 * The node of the device of this number, "MAJOR:MINOR" as a table line has it;
 * the text itself when there is none. Returns @path.
 */
const char *blockdev_path_of(const char *number, char *path, size_t path_bytes);

/* Is @path a block device? */
bool path_is_blockdev(const char *path);

#endif /* DMLIVE_BLOCKDEV_H */
