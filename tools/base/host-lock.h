/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_HOST_LOCK_H
#define DMLIVE_HOST_LOCK_H

#include <stdbool.h>

/*
 * Say in QEMU's way that an open image is read and must not be written. The lock ends
 * when @fd is closed; where locks are not supported, nothing happens. 0, or -EBUSY when
 * somebody writes to it.
 */
int host_lock_for_reading(int fd);

/*
 * Lock an open image, as QEMU does, so that nobody else reads or writes it. The
 * lock ends when @fd is closed. 0, or -EBUSY when somebody uses it.
 */
int host_lock_for_writing(int fd);

/* Does somebody else hold a lock on it, as QEMU does? Takes none. */
bool host_is_locked(int fd);

#endif /* DMLIVE_HOST_LOCK_H */
