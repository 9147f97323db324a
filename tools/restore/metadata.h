/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_METADATA_H
#define DMLIVE_RESTORE_METADATA_H

/*
 * The metadata device of a restore: what it holds, and what becomes of it. The store on
 * it is read and written by store/.
 *
 * Functions that return an int return an exit status, after a message, unless they say
 * otherwise.
 */

#include "block/blockdev.h"
#include "block/dm.h"
#include "store/inspect.h"
#include "restore/description.h"

/* The bitmap that the target alloctrack looks for. */
#define METADATA_BITMAP "alloctrack"

/* --meta auto: suffix of the name of the companion volume. */
#define METADATA_LV_SUFFIX "_dmlive"

enum metadata_state {
	METADATA_FREE,		/* nothing, or nothing that is needed */
	METADATA_PREPARED,	/* a restore that no target has begun: as free */
	METADATA_FOREIGN,	/* something other than a restore */
	METADATA_UNFINISHED,	/* a restore that is not finished */
	METADATA_COMPLETE,	/* a restore that lacks the swap at most */
};

/* A restore that is recorded on a metadata device. */
struct metadata {
	struct meta_store store;
	struct restore_description description;
	uint64_t block_bytes;
	uint64_t allocated_bytes;
};

/*
 * Read and check everything. @path is kept by reference. Returns 0, or a negative errno
 * after a message.
 */
int metadata_open(const char *path, struct metadata *metadata);
void metadata_close(struct metadata *metadata);

/* What is recorded on an open device. */
enum metadata_state metadata_state(const struct metadata *metadata);

/*
 * The name of the mapped device that has the metadata device open, "" when there
 * is none. 0 or a negative errno after a message.
 */
int metadata_find_user(const char *path, char name[DM_NAME_BYTES]);

/*
 * What does the block device hold? @what describes foreign content. Returns a state, or
 * a negative errno after a message.
 */
int metadata_probe(const char *path, char *what, size_t what_bytes);

/* Refuse @path unless it is a block device that can be written and is not in use. */
int metadata_check_device(const char *path, struct blockdev *device);

/* Refuse to overwrite what is still needed, unless forced. */
int metadata_check_content(const char *path, bool force);

/* Refuse a metadata device that shares a device with the volume. */
int metadata_check_distinct(const struct blockdev *meta,
			    const struct blockdev *volume);

/*
 * Record, durably, that the volume has been cleared. The device must not be in use. 0 or a
 * negative errno, after a message.
 */
int metadata_mark_cleared(const char *path);

/*
 * Record that this machine serves the restore, if another one is on record. The device must
 * not be in use. 0 or a negative errno, after a message.
 */
int metadata_set_machine(const struct metadata *metadata);

/*
 * The restore was given up, as it seems: no machine resumes it by itself any more. By hand it
 * can be resumed. The device must not be in use. A failure is only a warning.
 */
void metadata_forget_machine(const char *path);

/*
 * The restore is over: remove its companion volume, or mark the restore as finished. The
 * device must not be in use. A device that holds no restore is left alone. 0, or a negative
 * errno, after a warning, if it could be resumed by mistake.
 */
int metadata_retire(const char *path);

#endif /* DMLIVE_RESTORE_METADATA_H */
