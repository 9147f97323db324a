/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_DIGEST_H
#define DMLIVE_ATTACH_DIGEST_H

/*
 * A digest of places that hardly any user of a device avoids writing to: the first and
 * the last MiB, which have superblocks, partition tables and their copies; the first MiB
 * and the last 64 KiB of each partition; 64 samples of 4 KiB at equal distances; and as
 * many samples of what each bitmap has set, since what was written recently is likely to
 * be written again. Some dozens of MiB are read at most, whatever the size.
 */

#include <stdbool.h>
#include <stdint.h>

#include "block/blockdev.h"
#include "base/sha256.h"
#include "store/inspect.h"

/*
 * @store: has the bitmaps, and is not in use. False: the device or the store cannot be
 * read; only for the store there is a message.
 */
bool volume_digest(const struct blockdev *device, struct meta_store *store,
		   uint8_t digest[SHA256_BYTES]);

#endif /* DMLIVE_ATTACH_DIGEST_H */
