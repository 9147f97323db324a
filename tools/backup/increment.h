/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_INCREMENT_H
#define DMLIVE_BACKUP_INCREMENT_H

/*
 * The bitmap of a backup of one device decides what is copied, which backup the image
 * is based on, and which generation the bitmap gets. The order:
 *
 *	increment_plan -> (point in time: increment_take_scope) -> increment_describe
 *	-> the image is complete and durable -> increment_commit
 *
 * If anything fails, increment_abort() takes the place of increment_commit(). A
 * generation is a random number: an image whose backup was not committed has one that
 * the bitmap never gets, so it is never accepted as a base.
 *
 * Functions that return an int give an exit status, after a message, unless they say
 * otherwise.
 */

#include <stdbool.h>
#include <stdint.h>

#include "store/generation.h"
#include "store/origin.h"
#include "store/seal.h"

struct backup_record;
struct backup_request;
struct image;
struct image_error;
struct volume;
struct writer_options;

#define INCREMENT_REASON_BYTES 1024

/*
 * @bitmap: name of the bitmap; NULL: there is none, and nothing else here is used
 * @meta: path of the metadata device
 * @store: UUID of the bitmap store on it
 * @present: generation of the bitmap before the backup; 0: none
 * @generation: generation that the bitmap gets by this backup
 * @origin: the image that the device was restored from, if the bitmap still records the
 *	changes since; else all NULL
 * @base: the backup that this one is based on; NULL: this is a full backup
 * @base_name: name of the base in the image
 * @time_s: the point in time, in seconds since 1970
 * @full_reason: why this is a full backup
 * @is_after_gap: the reason is that changes were not tracked
 * @seal: seal of the store before the backup: its last gap, and whether the user has
 *	declared the store to be trusted
 */
struct increment {
	const char *bitmap;
	char meta[4096];
	char store[META_UUID_BYTES];
	uint64_t granularity_bytes;
	uint64_t present;
	uint64_t generation;
	struct meta_origin origin;
	struct image *base;
	char *base_name;
	uint64_t time_s;
	bool is_committed;
	char full_reason[INCREMENT_REASON_BYTES];
	bool is_after_gap;
	struct qcow2_seal seal;
};

/*
 * Decide between a full backup and an increment. @base: path of the previous backup,
 * BACKUP_BASE_AUTO or NULL. The output must have been checked. A bitmap that does not
 * exist is added.
 */
int increment_plan(struct volume *volumes, unsigned int nr,
		   struct volume *volume, const struct backup_request *request,
		   const char *base);

/* Set the options that make the image an increment. */
void increment_set_options(const struct volume *volume,
			   struct writer_options *options);

/*
 * Read volume->scope from the metadata device. The target has closed that, because the
 * mapped device is suspended, which must not be used here. 0, or a negative errno after
 * a message; -ESTALE, without a message: the origin was written to without the target,
 * so the bitmap lacks changes.
 */
int increment_take_scope(struct volume *volume);

/* Write the record of the backup into the image. */
int increment_describe(struct volume *volume);

/* The image is durable under its name: from now on the bitmap belongs to it. */
int increment_commit(struct volume *volume);

/*
 * If the backup was not committed, the bitmap gets back the changes that it had before.
 * The session may be gone.
 */
void increment_abort(struct volume *volume);

void increment_close(struct increment *increment);

/* Undo increment_plan(), so that it can be called again. */
void increment_forget(struct increment *increment);

/* base.c */

/*
 * Open @path as the base of an increment of @volume. 0; -EINVAL: it cannot be the base,
 * and *err says why, without the name; or another errno after a message: the backup has
 * failed.
 */
int base_open(struct volume *volume, const char *path, struct image_error *err);

/* The record in the image at @path, to be freed; all zeros if there is none. */
void base_record_of(const char *path, struct backup_record *record);

/* The generation in the record of the image at @path; 0: there is no record. */
uint64_t base_generation_of(const char *path);

/* The point in time of that backup, in seconds since 1970; 0: unknown. */
uint64_t base_time_of(const char *path);

/*
 * base-auto.c: the path of the image that bitmap and store of @volume belong to, which is
 * looked for beside the output; if the bitmap belongs to none now, of its newest backup.
 * To be freed. NULL: none was found, and @why says it.
 */
char *base_find(const struct volume *volume, struct image_error *why);

#endif /* DMLIVE_BACKUP_INCREMENT_H */
