/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_DIGEST_H
#define DMLIVE_ATTACH_DIGEST_H

/*
 * A digest of those places of a device that can hardly be avoided by whoever uses it:
 * its first and last MiB; of each partition the first MiB and the last 64 KiB; and 64
 * samples of 4 KiB, spread evenly. Superblocks, partition tables, their copies and the
 * heads of logs are there. At most some dozens of MiB are read, whatever the size.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lib/blockdev.h"
#include "lib/sha256.h"

/* False, without a message: it cannot be read. */
bool volume_digest(const struct blockdev *device,
		   uint8_t digest[SHA256_BYTES]);

#endif /* DMLIVE_ATTACH_DIGEST_H */
