/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_DESCRIPTION_H
#define DMLIVE_RESTORE_DESCRIPTION_H

/*
 * The description of a restore in its bitmap store: JSON text in the header extension
 * "dmlr", see Documentation/bitmap-format.rst. With the store's header (image, size) and
 * bitmap (block size) it is all that dmlive resume needs.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lines/status-line.h"

/* What distinguishes an image from another of the same name; 0, NULL: unknown. */
struct image_identity {
	uint64_t bytes;			/* of the virtual disk */
	uint64_t file_bytes;
	uint64_t mtime_ns;
	char *device;			/* if it is a block device */
};

struct restore_description {
	bool finished;			/* there is nothing to resume */
	bool automatic;			/* the store is on a companion volume */
	bool in_place;			/* the volume itself is restored, by UUID */
	bool to_clear;			/* the volume is to be cleared first, and ... */
	bool cleared;			/* ... has been; see clear.h */
	char *name;			/* NULL: unknown, as all strings */
	char *machine;			/* that serves it, see machine_get_id() */
	char *meta_identity;		/* of the device that the store was made on */
	char *uuid;
	char *volume;
	char *volume_identity;
	char *snapshot;
	/* The bitmap that records changes; path and UUID of its store. */
	char *track;
	char *track_meta;
	char *track_store;
	struct alloctrack_features features;
	unsigned int nr_threads;
	bool no_finish;
	bool force;
	bool allow_paths;		/* that the image names */
	struct image_identity image;
};

/* Return the text, to be freed. */
char *description_format(const struct restore_description *description);

/*
 * Unknown members are ignored, missing ones are 0. @text may be NULL. Returns 0 or
 * -EINVAL. Call description_free() also after an error.
 */
int description_parse(const char *text,
		      struct restore_description *description);
void description_free(struct restore_description *description);

/*
 * The offset in the text of the byte that says whether the restore is finished, '0' or
 * '1': a single byte can be changed in place, atomically. -1: there is none.
 */
long description_finished_offset(const char *text, size_t text_bytes);

/* The same for the byte that says whether the target has been cleared. */
long description_cleared_offset(const char *text, size_t text_bytes);

/* The same for the identity of the machine, which has always the same length. */
long description_machine_offset(const char *text, size_t text_bytes);

/*
 * Get the identity of the image at @path, as far as possible. @bytes: size of its
 * virtual disk.
 */
void image_identity_get(const char *path, uint64_t bytes,
			struct image_identity *identity);
void image_identity_free(struct image_identity *identity);

/* Also true if the record is empty. */
bool image_identity_matches(const struct image_identity *recorded,
			    const struct image_identity *now);

#endif /* DMLIVE_RESTORE_DESCRIPTION_H */
