/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_NEW_VOLUME_H
#define DMLIVE_RESTORE_NEW_VOLUME_H

/*
 * `dmlive restore --create`: the logical volume that is restored is made first. Until the
 * mapped device is about to be started, the volume has a tag that says that nobody uses
 * it, and is removed if anything fails. If the restore is killed before that, the volume
 * stays with this tag.
 *
 * Functions that return an int return an exit status, after a message.
 */

#include <stdbool.h>

struct lvm_volume;
struct restore_request;
struct server;

/* "GROUP/VOLUME", or a path of its node: which volume? False: it is neither. */
bool new_volume_parse(const char *given, struct lvm_volume *volume);

/*
 * Check the options, and turn request->volume, "GROUP/VOLUME" or a path of it, into the
 * path of the node that the volume will have.
 */
int new_volume_check(struct restore_request *request);

/* Make the volume for the image, which is open. */
int new_volume_make(struct server *server);

/* The volume is about to be used. */
int new_volume_keep(struct server *server);

/* The restore has failed: remove the volume. A failure is only a warning. */
void new_volume_undo(struct server *server);

#endif /* DMLIVE_RESTORE_NEW_VOLUME_H */
