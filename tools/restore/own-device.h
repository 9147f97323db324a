/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_OWN_DEVICE_H
#define DMLIVE_RESTORE_OWN_DEVICE_H

/*
 * A restore in place, see attach/in-place.h: the mapped device that is restored is the
 * volume itself. server->name is its name, and server->data its inner device.
 *
 * The record is durable before anything is changed, and is removed last. What a process
 * that is killed leaves behind, and udev's handler makes of it when it sees the volume:
 *
 *   before the swap		the volume as it was		is fenced
 *   while it is restored	alloctrack without a server	stays
 *   the same, restarted	its own table			is fenced
 *   complete			either				stays
 *
 * In each case `dmlive resume` goes on from the metadata of the restore, for which the
 * volume is fenced first.
 *
 * Functions return an exit status, after a message, unless they say otherwise.
 */

#include "restore/description.h"
#include "restore/server.h"

/* A new restore: refuse a volume that cannot be restored in place. */
int own_check(struct server *server);

/* The metadata are durable: write the record. */
int own_record(struct server *server);

/* Resume: drop a table that a killed process has loaded. It has the metadata open. */
int own_clear(const char *name);

/* Resume: find the volume by its UUID. */
int own_find(struct server *server, const char *uuid);

/*
 * Resume: refuse a volume of which there is no record of this restore, unless forced: it was
 * given up, and the volume may have newer data. @is_complete: only the end is left to do.
 */
int own_check_record(struct server *server, bool *is_complete);

/* Resume: fence it. */
int own_fence(struct server *server);

/* Is it a restore in place of the volume with this UUID? */
bool own_is_described(const struct restore_description *description,
		      const char *uuid);

/* 1: the device @path holds the metadata of such a restore. 0: not. Or a negative errno. */
int own_holds_restore(const char *path, const char *uuid);

/* Make the inner device, and hold lvm2's lock until own_start() or own_undo(). */
int own_make(struct server *server);

/* Make the table that is loaded the live one. */
int own_start(struct server *server);

/* Undo what was done, however far that went. Resume: the volume is fenced again. */
int own_undo(struct server *server);

/* After that, and when its metadata cannot be resumed any more. */
int own_undo_record(struct server *server);

/* Is the device @name restored in place now? */
bool own_is_live(const char *name);

/*
 * All data are on the volume @name, durably: give it its own table. The metadata device is
 * not in use any more. 0 or a negative errno, after a message.
 */
int own_finish(const char *name);

/* @meta is retired: the restore of @name has ended. */
void own_forget(const char *name);

/*
 * Remove what is left of a restore of @name that has completed, and may have been killed
 * in the end. @found: there was something.
 */
int own_tidy(const char *name, bool *found);

/* Give up the restore of @volume, which the caller has locked. */
int own_give_up(struct volume *volume);

#endif /* DMLIVE_RESTORE_OWN_DEVICE_H */
