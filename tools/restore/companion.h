/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_COMPANION_H
#define DMLIVE_RESTORE_COMPANION_H

/*
 * A metadata device beside the volume of a new restore: one that the user names, or a
 * companion volume, which is a logical volume that dmlive makes beside a volume. A
 * restore needs one for its own metadata, and one for the bitmap that records changes.
 *
 * Functions that return an int return an exit status, after a message.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "block/blockdev.h"
#include "store/layout.h"

struct server;

/*
 * @automatic: the option that asks for a companion volume
 * @given: the option that names a device
 * @suffix: of the name of a companion volume, behind that of the volume
 * @role: of such a volume, for its tags
 * @purpose: for messages
 * @check_content: may the device be overwritten, or used as it is? @path is that of
 *	the user. Sets companion.format to false if the store on it is used.
 */
struct companion_kind {
	const char *automatic;
	const char *given;
	const char *suffix;
	const char *role;
	const char *purpose;
	int (*check_content)(struct server *server, const char *path,
			     const struct blockdev *device);
};

/*
 * @path: "" if there is no such device
 * @bytes: of the store
 * @automatic: it is a companion volume, which is yet to be made
 * @left: one of that name is there, left by an earlier restore, to be replaced
 * @format: the store is yet to be made
 * @made: to be undone if something fails
 */
struct companion {
	const struct companion_kind *kind;
	char path[PATH_MAX];
	uint64_t bytes;
	bool automatic;
	bool left;
	bool format;
	bool made;
};

/* For a store of this kind and content: sets kind and bytes. */
int companion_init(struct companion *companion,
		   const struct companion_kind *kind,
		   const struct meta_spec *spec);

/* Take the device at @path: lock it, and refuse it if it cannot be used. */
int companion_take(struct server *server, struct companion *companion,
		   const char *path);

/* Plan a companion volume. If one is left, the caller finds out whether it is needed. */
int companion_plan(struct server *server, struct companion *companion);

/* Make the companion volume, in place of the one that is left. */
int companion_make(struct server *server, struct companion *companion);

/* Write the store. */
int companion_format(struct companion *companion, const struct meta_spec *spec);

/* The companion volume is not needed after all. A failure is only a warning. */
void companion_remove(struct server *server, const struct companion *companion);

#endif /* DMLIVE_RESTORE_COMPANION_H */
