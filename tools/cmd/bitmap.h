/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CMD_BITMAP_H
#define DMLIVE_CMD_BITMAP_H

/* `dmlive bitmap`: what its parts share. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/words.h"

enum bitmap_action {
	BITMAP_LIST,
	BITMAP_DUMP,
	BITMAP_ADD,
	BITMAP_REMOVE,
	BITMAP_ENABLE,
	BITMAP_DISABLE,
	BITMAP_CLEAR,
	BITMAP_MERGE,
};

/*
 * @verb: the word for @action
 * @store: a file, a block device, or the name of a mapped device
 * @bitmap: NULL for list
 * @source: merge: the bitmap that is merged into it
 * @source_file: merge: the image that has @source, NULL: @store
 * @granularity: add: bytes, 0: the default
 * @locked: the caller has recovery_lock_and_clear() of the device
 * @held: the target that has the store is suspended: nothing is reported
 * @online: dump: a target has the store, and it was reported that newer bits are
 *	missing
 */
struct bitmap_arguments {
	enum bitmap_action action;
	const char *verb;
	const char *store;
	const char *bitmap;
	const char *source;
	const char *source_file;
	uint64_t granularity;
	bool disabled;
	bool held;
	bool locked;
	bool online;
	bool force;
	bool json;
};

/* In bytes. An image with smaller clusters gets less. */
#define BITMAP_DEFAULT_GRANULARITY	65536
#define BITMAP_MIN_DEFAULT_GRANULARITY	4096

/* Both return an exit status. On a store that no target uses: */
int bitmap_offline(const struct bitmap_arguments *arguments);

/* Through the target of the mapped device @name. */
int bitmap_online(const char *name, const struct bitmap_arguments *arguments);

/* Say that a change was made. @added_bytes: what a merge has newly set, or NULL. */
void bitmap_report(const struct bitmap_arguments *arguments,
		   const uint64_t *added_bytes);

/*
 * Is @store the name of a mapped device with the target cbw, or its node? 1, 0, or a
 * negative errno after a message.
 */
int bitmap_is_online(const char *store, char *name, size_t name_bytes);

/*
 * The mapped device with the target cbw that has the block device @path as its
 * metadata device. 1, 0, or a negative errno after a message.
 */
int bitmap_find_user(const char *path, char *name, size_t name_bytes);

/*
 * Has the mapped device @name the target cbw? Then @meta is set to the number of its
 * metadata device, or "-". 1, 0, or a negative errno.
 */
int bitmap_read_table(const char *name, char meta[STATUS_WORD_BYTES]);

/*
 * Does a target use the store on the block device @path? Then the newest bits are in
 * its memory only, and a warning is printed. 1, 0, or a negative errno after a message.
 */
int bitmap_warn_if_online(const char *path);

/* Warn that the target of @name has the newest bits in memory only. */
void bitmap_warn_online(const char *name);

#endif /* DMLIVE_CMD_BITMAP_H */
