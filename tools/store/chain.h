/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_CHAIN_H
#define DMLIVE_META_CHAIN_H

/*
 * Whether each image of a chain lies on the one that it was made for, by the records
 * of their backups. Images that are not backups, like overlays that QEMU made, say
 * nothing about what they lie on, and are accepted.
 */

#include "qcow2/backup-record.h"
#include "qcow2/image.h"

/*
 * The record of the image at @depth, to be freed with backup_record_free() in any case.
 * 0; -ENOENT: it is not a backup, without a message; or another negative errno.
 */
int chain_read_record(struct image *image, unsigned int depth,
		      struct backup_record *record, struct image_error *err);

/*
 * Was the image at @depth, which has this record, written to after the backup, as far
 * as that can be told?
 */
bool chain_is_written_to(struct image *image, unsigned int depth,
			 const struct backup_record *record);

enum chain_link {
	CHAIN_UNKNOWN,		/* there is none, or nothing is said about it */
	CHAIN_RIGHT,
	CHAIN_RESTORED,		/* right, and what is below was looked at as well */
	CHAIN_WRONG,
};

/*
 * What the image at @depth says about the one below it. An enum chain_link or a
 * negative errno; *err says why it is wrong.
 */
int chain_check_link(struct image *image, unsigned int depth,
		     struct image_error *err);

/*
 * Must be called before the data of a chain are used: warns about bitmaps that cannot
 * be read, and a backup that was written to; a broken chain is an error, or with @force
 * a warning. Both are printed. 0, -EUCLEAN: broken, and not forced; or another negative
 * errno. *is_backup, if not NULL: is the image a backup that can be relied on?
 */
int chain_check(struct image *image, bool force, bool *is_backup);

#endif /* DMLIVE_META_CHAIN_H */
