/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_DIGEST_H
#define DMLIVE_ATTACH_DIGEST_H

/*
 * A digest of those places of a device that its users can hardly avoid: its first and
 * last MiB; of each partition the first MiB and the last 64 KiB; 64 samples of 4 KiB,
 * spread evenly; and as many of what bitmaps have set, since recently written places
 * are likely to be written again. Superblocks, partition tables, their copies and logs
 * are there. At most some dozens of MiB are read, whatever the size.
 */

#include <stdbool.h>
#include <stdint.h>

#include "block/blockdev.h"
#include "base/sha256.h"
#include "store/inspect.h"

/*
 * @store: of the bitmaps, not in use. False: it cannot be read; there may be a message
 * about the store.
 */
bool volume_digest(const struct blockdev *device, struct meta_store *store,
		   uint8_t digest[SHA256_BYTES]);

#endif /* DMLIVE_ATTACH_DIGEST_H */
