/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_METADATA_H
#define DMLIVE_RESTORE_METADATA_H

/*
 * The metadata device of a restore: what it holds, and what happens to it in the end.
 * store/ writes and reads the store.
 *
 * Functions that return an int give an exit status, after a message, unless they
 * say otherwise.
 */

#include "block/blockdev.h"
#include "block/dm.h"
#include "store/inspect.h"
#include "restore/description.h"

/* The bitmap that the target alloctrack looks for. */
#define METADATA_BITMAP "alloctrack"

/* The name of the store that --meta auto makes for a volume: NAME and this. */
#define METADATA_LV_SUFFIX "_dmlive"

enum metadata_state {
	METADATA_FREE,		/* holds nothing, or nothing that is needed */
	METADATA_FOREIGN,	/* holds something that is not a restore */
	METADATA_UNFINISHED,	/* a restore that has begun and is not finished */
	METADATA_COMPLETE,	/* all is on the volume; the swap may remain */
};

/* A restore that is recorded on a metadata device. */
struct metadata {
	struct meta_store store;
	struct restore_description description;
	uint64_t block_bytes;
	uint64_t allocated_bytes;
};

/*
 * Read and check it all. @path is kept by reference. Return: 0, or a negative
 * errno after a message.
 */
int metadata_open(const char *path, struct metadata *metadata);
void metadata_close(struct metadata *metadata);

/*
 * The name of the mapped device that has the metadata device open, "" when there
 * is none. 0 or a negative errno after a message.
 */
int metadata_find_user(const char *path, char name[DM_NAME_BYTES]);

/*
 * What is on the block device? @what describes foreign content. Return: a state, or a
 * negative errno after a message.
 */
int metadata_probe(const char *path, char *what, size_t what_bytes);

/* Refuse @path unless it is a device that may be written to, whatever it holds. */
int metadata_check_device(const char *path, struct blockdev *device);

/* Refuse to lose what it holds, unless forced. */
int metadata_check_content(const char *path, bool force);

/* Refuse to put the metadata on the device that is restored. */
int metadata_check_distinct(const struct blockdev *meta,
			    const struct blockdev *volume);

/*
 * The restore is over: remove the device if it was made for it, else mark it as
 * finished. Nothing may use it. A failure is only a warning. A device without a
 * restore is left alone.
 */
void metadata_retire(const char *path);

#endif /* DMLIVE_RESTORE_METADATA_H */
