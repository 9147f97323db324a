/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_TRACKING_H
#define DMLIVE_RESTORE_TRACKING_H

/*
 * A bitmap records what the guest writes from the start of the restore. It belongs to the
 * image that is restored, so the next backup can be an increment of that image. Its store
 * is durable before the mapped devices are made, and outlives the restore, as that of the
 * cbw device.
 *
 * Functions return an exit status, after a message, unless they say otherwise.
 */

#include "restore/metadata.h"
#include "restore/server.h"

/* Refuse what a new restore cannot do. The image is open. */
int tracking_check(struct server *server);

/* Make the store, or use the one on the device. */
int tracking_make(struct server *server);

/* The mapped devices could not be made: undo tracking_make(). */
void tracking_undo(struct server *server);

/* Recover: find the store that the metadata of the restore name. */
int tracking_find(struct server *server,
		  const struct restore_description *recorded);

/* Resume: refuse an image other than the one that the bitmap belongs to. */
int tracking_check_image(struct server *server);

/* outer.c: the cbw device over the inner device, which is active already. */

/* Refuse a name that exists, unless a killed process has left an empty device. */
int outer_clear_name(struct server *server);

/* Make the cbw device. */
int outer_make(struct server *server);

/* Undo outer_make(). Returns 0 or a negative errno, after a message. */
int outer_remove(struct server *server);

#endif /* DMLIVE_RESTORE_TRACKING_H */
