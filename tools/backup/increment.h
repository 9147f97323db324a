/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_INCREMENT_H
#define DMLIVE_BACKUP_INCREMENT_H

/*
 * The role of a bitmap in the backup of one device: how much is copied, which earlier
 * backup the image lies on, and which generation the bitmap gets. The order:
 *
 *	increment_plan -> (point in time: increment_take_scope) -> increment_describe
 *	-> the image is complete and durable -> increment_commit
 *
 * or increment_abort() instead of the last, whatever has failed. A generation is a
 * random number. So an image whose backup was not committed has one that the bitmap
 * never gets, and can never be taken for the base of an increment.
 *
 * Functions that return an int give an exit status, after a message.
 */

#include <stdbool.h>
#include <stdint.h>

#include "store/generation.h"
#include "store/origin.h"
#include "store/seal.h"

struct backup_request;
struct image;
struct volume;
struct writer_options;

#define INCREMENT_REASON_BYTES 1024

/*
 * @bitmap: NULL: the backup has nothing to do with one, and all below is unused
 * @meta: path of the metadata device
 * @store: UUID of the bitmap store there
 * @present: generation that the bitmap has before the backup; 0: none
 * @generation: that it gets by this one
 * @origin: the image that the device was restored from, to which the bitmap still
 *	belongs; all NULL: there is none
 * @base: the backup that this is an increment of; NULL: this is a full one
 * @base_name: as the image names it
 * @time_s: the point in time, since 1970
 * @full_reason: why this is a full backup
 * @is_after_gap: because changes were not tracked
 * @seal: of the store, before the backup: its last gap, and whether it is trusted
 *	because the user said so
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
 * Decide what kind of backup it is to be. @base: path of the previous backup, or NULL.
 * The output has been checked. A bitmap that does not exist is added.
 */
int increment_plan(struct volume *volumes, unsigned int nr,
		   struct volume *volume, const struct backup_request *request,
		   const char *base);

/* Set the options that make the image an increment. */
void increment_set_options(const struct volume *volume,
			   struct writer_options *options);

/*
 * Read volume->scope from the metadata device, which the target has closed: the device
 * is suspended, and not used here. 0 or a negative errno, with a message; -ESTALE,
 * without one: the device was written to past its target, so that the bitmap lacks
 * something.
 */
int increment_take_scope(struct volume *volume);

/* Put the record of the backup into the image. */
int increment_describe(struct volume *volume);

/* The image is durable under its name: from now on the bitmap belongs to it. */
int increment_commit(struct volume *volume);

/*
 * If it was not committed, the bitmap gets all changes back; the session may be gone.
 */
void increment_abort(struct volume *volume);

void increment_close(struct increment *increment);

/* Forget what increment_plan() has found, before it is called again. */
void increment_forget(struct increment *increment);

/* base.c */

/*
 * Open @path as the base of an increment of @volume. 0; or -EINVAL, and in @why what
 * keeps it from being one, without the name. Another errno after a message: the
 * backup cannot go on.
 */
int base_open(struct volume *volume, const char *path, char *why,
	      size_t why_bytes);

/* The generation in the record of the image at @path; 0: there is none. */
uint64_t base_generation_of(const char *path);

/* The point in time of that backup, in seconds since 1970; 0: it is not known. */
uint64_t base_time_of(const char *path);

#endif /* DMLIVE_BACKUP_INCREMENT_H */
