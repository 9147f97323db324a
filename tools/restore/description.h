/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_DESCRIPTION_H
#define DMLIVE_RESTORE_DESCRIPTION_H

/*
 * The description of a restore that a bitmap store carries, as JSON text in the
 * header extension "dmlr": see Documentation/bitmap-format.rst. Together with the
 * store's own header (image, size) and bitmap (block size) it is all that a resume
 * needs.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lines/status-line.h"

/* What distinguishes an image from another one of the same name; 0 or NULL: unknown. */
struct image_identity {
	uint64_t bytes;			/* of the disk in it */
	uint64_t file_bytes;
	uint64_t mtime_ns;
	char *device;			/* if it is a block device */
};

struct restore_description {
	bool finished;			/* there is nothing to resume */
	bool automatic;			/* remove the store's volume with it */
	char *name;			/* NULL: unknown, as all strings */
	char *uuid;
	char *volume;
	char *volume_identity;
	char *snapshot;
	/* The bitmap that changes are recorded in; its store: path, and UUID. */
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

/* To be freed. */
char *description_format(const struct restore_description *description);

/*
 * Unknown members are ignored, missing ones are 0. @text may be NULL.
 * Return: 0 or -EINVAL. In any case to be freed with description_free().
 */
int description_parse(const char *text,
		      struct restore_description *description);
void description_free(struct restore_description *description);

/*
 * Offset in the text of the one byte that says whether the restore is finished: '0'
 * or '1', so that it can be changed in place, atomically. -1: there is none.
 */
long description_finished_offset(const char *text, size_t text_bytes);

/*
 * Fill in what can be found out about the image at @path; @bytes is the size of
 * the disk in it.
 */
void image_identity_get(const char *path, uint64_t bytes,
			struct image_identity *identity);
void image_identity_free(struct image_identity *identity);

/* Also true if nothing is on record. */
bool image_identity_matches(const struct image_identity *recorded,
			    const struct image_identity *now);

#endif /* DMLIVE_RESTORE_DESCRIPTION_H */
