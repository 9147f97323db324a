/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_IN_PLACE_H
#define DMLIVE_ATTACH_IN_PLACE_H

/*
 * Restores in place: the volume itself has the target alloctrack, over its inner device,
 * which has the volume's own table. For each there is a file UUID.conf in
 * /etc/dmlive/restore.d, from before the table of the volume is changed until it has its
 * own table again. The name alone makes it a record, whatever the file holds: the volume
 * must not be used with its own table, since it lacks what is not restored yet.
 *
 * The folder is beside attach.d since it must be there when volumes are activated, which
 * is before other file systems than that of the root are mounted.
 */

#include <limits.h>
#include <stdbool.h>

#include "attach/inner.h"
#include "attach/persist.h"
#include "attach/volume.h"

#define IN_PLACE_FOLDER "/etc/dmlive/restore.d"

/*
 * @volume: UUID of the mapped device
 * @meta, @meta_path: the metadata device of the restore, as in struct persist
 * @complete: all data are on the volume, so it may be used with its own table
 * @reduced: it was smaller for some time: its end is lost, though the metadata have it
 */
struct in_place {
	char volume[PERSIST_UUID_BYTES];
	char meta[PERSIST_UUID_BYTES];
	char meta_path[PATH_MAX];
	bool complete;
	bool reduced;
};

/*
 * The restore of the volume with this UUID. 1: it is on record. 0: it is not. A negative errno:
 * that cannot be found out, as the file cannot be read. Prints nothing.
 */
int in_place_look(const char *uuid, struct in_place *record);

/* Is it certainly on record? */
bool in_place_find(const char *uuid, struct in_place *record);

/*
 * Is the volume with this UUID one that must not be used with its own table? If that cannot be
 * found out, it is not: with a disk that fails, all volumes would be.
 */
bool in_place_is_unfinished(const char *uuid);

/* Is it certain that it is none? For what can wait until it is. */
bool in_place_is_over(const char *uuid);

/* Write it, durably. @comment: a line for people. 0 or a negative errno, after a message. */
int in_place_write(const struct in_place *record, const char *comment);

/* Note, durably, that all data are on the volume. The same. */
int in_place_complete(const char *uuid);

/* Note, durably, that the volume was reduced. The same. */
int in_place_note_reduced(const char *uuid);

/* Remove it, durably. That there is none is no error. The same. */
int in_place_remove(const char *uuid);

/* Call @each for all records, until it is not 0. Returns that. */
int in_place_for_each(int (*each)(const struct in_place *record, void *argument),
		      void *argument);

/* The node of the metadata device. Returns @path, "" if it is not there. */
const char *in_place_meta(const struct in_place *record, char path[PATH_MAX]);

/* An exit status, after a message: refuse a volume whose restore has not ended. */
int in_place_check_none(const struct volume *volume);

/* Has the volume an alloctrack table over its inner device? @inner may be NULL. */
bool in_place_is_live(const struct volume *volume, struct inner *inner);

/* Has it a table that fails all I/O? */
bool in_place_is_fenced(const struct volume *volume);

/*
 * Has it an inactive table that dmlive has not loaded? A command of lvm2 that holds its lock
 * will make that the live one.
 */
bool in_place_is_loaded_by_other(const struct volume *volume);

/* Refuse a volume with an inactive table. Returns an exit status. */
int in_place_refuse_loaded(const struct volume *volume);

/*
 * fence.c: let all I/O of the volume fail, since it must not be used with its own table.
 * That moves to the inner device, from where the restore takes it; if it cannot be moved,
 * it is lost until lvm2 loads it again. Nothing is done for a volume that is fenced, or
 * being restored. The caller has refreshed the volume, and holds its lock. @is_stable: it
 * holds that of lvm2 too, or who does waits for it; else the table may be out of date, and
 * is not kept.
 *
 * Return: an exit status, after a message.
 */
int in_place_fence(struct volume *volume, struct inner *inner, bool is_stable);

/* Let all I/O fail, whatever table the volume has, which is not kept. The same. */
int in_place_let_fail(struct volume *volume);

/* Can the volume, with its own table, be restored in place? The same. */
int in_place_check_table(const struct volume *volume);

/*
 * Only the UUID of a logical volume stays with it when it is renamed. Is @inner, which has the
 * name for that of @volume, in use by another volume, which had the name before? To be asked
 * while @volume does not use it.
 */
bool in_place_is_inner_of_other(const struct volume *volume,
				const struct inner *inner);

/* Give the inner device, which is made if need be, the table of the volume. The same. */
int in_place_fill_inner(const struct volume *volume, struct inner *inner);

/*
 * Give the volume, which has a table of ours, its own table again, that of its inner
 * device, and remove that one. The same. The caller holds the same locks.
 */
int in_place_give_back(struct volume *volume, const struct inner *inner);

#endif /* DMLIVE_ATTACH_IN_PLACE_H */
