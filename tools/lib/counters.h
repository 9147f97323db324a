/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_COUNTERS_H
#define DMLIVE_COUNTERS_H

/*
 * What the kernel counts of the writes to a block device, in sysfs. Who finds the same
 * device with the same counts later knows that nobody has written to it meanwhile:
 * qcow2_seal_is_unchanged().
 */

#include <stdbool.h>
#include <sys/types.h>

#include "../dm-live/qcow2-seal.h"

/*
 * False: the kernel does not count what is written (queue/iostats is 0), or does not
 * say which device it is; then @counters is zeroed.
 */
bool blockdev_count(dev_t devt, struct qcow2_seal_device *counters);

#endif /* DMLIVE_COUNTERS_H */
