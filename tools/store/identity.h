/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_IDENTITY_H
#define DMLIVE_META_IDENTITY_H

/*
 * What identifies the content of an image, as one line of text:
 *
 *	backup STORE GENERATION BITMAP	a backup of dmlive, all of whose chain is what its
 *					increments were made for
 *	files HASH			any other image: the size, the time of change and
 *					samples of each file that it is made of, with all
 *					of its backing chain
 *
 * A copy that keeps the time of change (cp -p, rsync -t) is the same image; one that was
 * written to is not.
 */

#include "qcow2/image.h"

/*
 * The identity of the part of the chain that begins at @depth. @text is to be freed.
 * Return: 0; -ENOTSUP: nothing identifies it, since writes to a block device leave no
 * trace; or another negative errno. *err says why.
 */
int image_identity_text(struct image *image, unsigned int depth, char **text,
			struct image_error *err);

/*
 * Is the image at @depth a backup of dmlive, and does each increment of its chain lie
 * on what it was made for, down to a full backup or an image that a device was restored
 * from? 0, or a negative errno, and in *err why not.
 */
int image_check_backups(struct image *image, unsigned int depth,
			struct image_error *err);

#endif /* DMLIVE_META_IDENTITY_H */
