/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_TRACKING_H
#define DMLIVE_RESTORE_TRACKING_H

/*
 * The bitmap that records what the guest writes from the start of a restore on, and the
 * metadata device that it is on. It belongs to the image that is restored, so that the
 * next backup can be an increment of that. The store is durable before the mapped
 * devices are made, and outlives the restore: it is that of the cbw device.
 *
 * Functions return an exit status, after a message, unless they say otherwise.
 */

#include "restore/metadata.h"
#include "restore/server.h"

/* Check whether a new restore can have what was asked for; the image is open. */
int tracking_check(struct server *server);

/* Make the store, or take the one that is there. */
int tracking_make(struct server *server);

/* The mapped devices could not be made: undo what was made. */
void tracking_undo(struct server *server);

/* Resume: find the store that the metadata of the restore name. */
int tracking_find(struct server *server,
		  const struct restore_description *recorded);

/* Resume: refuse an image that is not the one that the bitmap belongs to. */
int tracking_check_image(struct server *server);

/* outer.c: the cbw device over the inner device, which is live. */

/* Refuse a name that is taken; remove what a killed process has left. */
int outer_clear_name(struct server *server);

/* Make it. */
int outer_make(struct server *server);

/* Remove it, if outer_make() has made it. 0 or a negative errno, after a message. */
int outer_remove(struct server *server);

#endif /* DMLIVE_RESTORE_TRACKING_H */
