/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CLEARABLE_H
#define DMLIVE_CLEARABLE_H

/*
 * Devices whose content can be discarded so that zeros are read from then on, for
 * certain, and where that takes space from nobody:
 *
 *   a thin volume of dm-thin. A discard removes the mapping of each whole block of the
 *	pool, and what is not mapped reads as zeros. But not
 *	  - one with an external origin, which would be read instead;
 *	  - one of a pool whose block size is not a power of two: the kernel cuts discards
 *	    in the middle of its blocks;
 *	  - one of a pool that ignores discards;
 *	  - one of a pool that does not zero new blocks (skip_block_zeroing): there a write
 *	    to a part of a block brings up what somebody else had in the rest.
 *   a loop device on a regular file: it punches holes.
 *
 * What a device says of itself, or what is read after a discard, proves nothing: reads
 * of discarded space may return zeros now and old data later.
 */

#include <stdbool.h>
#include <stdint.h>

#include "block/blockdev.h"

/* Is the device one of these? */
bool clearable_probe(const struct blockdev *device);

/*
 * Make the first @bytes of the device read as zeros, durably, without taking space for
 * them; what lies behind is not touched. Nothing may use the device. @is_cancelled is
 * asked now and then.
 *
 * Return: 0: so it is. -EOPNOTSUPP: that is not certain, and parts may have been
 * discarded. Another negative errno: it failed, with the same result; -ECANCELED.
 * Prints nothing.
 */
int clearable_clear(const struct blockdev *device, uint64_t bytes,
		    bool (*is_cancelled)(void));

#endif /* DMLIVE_CLEARABLE_H */
