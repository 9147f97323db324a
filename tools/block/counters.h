/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_COUNTERS_H
#define DMLIVE_COUNTERS_H

/*
 * The kernel's counts of the writes to a block device, in sysfs. If the same device
 * has the same counts later, it was not written to meanwhile:
 * qcow2_seal_is_unchanged().
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../dm-live/qcow2/seal.h"

/*
 * False, and UNCOUNTED: the kernel does not count what is written (queue/iostats is 0),
 * or does not say which device it is.
 */
bool blockdev_count(dev_t devt, struct qcow2_seal_device *counters);

/* The UUID of the load of the module dm-live. False: not loaded, or too old. */
bool dm_live_read_instance(uint8_t instance[QCOW2_DMLIVE_UUID_BYTES]);

#endif /* DMLIVE_COUNTERS_H */
