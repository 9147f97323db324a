/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_FINISH_H
#define DMLIVE_RESTORE_FINISH_H

/*
 * Replace the table of a complete alloctrack device by a linear mapping, under running
 * I/O: I/O is held during the swap, and no file system is frozen. The metadata are
 * retired: their companion volume is removed, or they are marked as finished.
 *
 * Returns 0, also if the device is a linear mapping already, or a negative errno after a
 * message: -EAGAIN: not complete; -EBUSY: suspended; -EINVAL: not an alloctrack device.
 */
int finish_device(const char *name);

#endif /* DMLIVE_RESTORE_FINISH_H */
