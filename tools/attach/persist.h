/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_PERSIST_H
#define DMLIVE_ATTACH_PERSIST_H

/*
 * Attachments that are made again whenever a volume appears or gets another table: a
 * file NAME.conf for each volume in /etc/dmlive/attach.d. People and configuration
 * systems write such files, too: see dmlive-attach.d(5).
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/volume.h"

#define PERSIST_FOLDER		"/etc/dmlive/attach.d"
#define PERSIST_UUID_BYTES	129

/*
 * @path: of the file
 * @volume: UUID of the mapped device; "": the file does not say it
 * @meta: UUID of the metadata device if that is a mapped device, else ""
 * @meta_path: else a path of it
 * @break_tracking, @block_bytes: see struct attach_request
 * @problem: why the file cannot be used, with its path and line; "": it can
 */
struct persist {
	char path[PATH_MAX];
	char volume[PERSIST_UUID_BYTES];
	char meta[PERSIST_UUID_BYTES];
	char meta_path[PATH_MAX];
	bool break_tracking;
	uint64_t block_bytes;
	char problem[512];
};

/* Read one file. Prints nothing: @persist->problem says what is wrong. */
void persist_read(const char *path, struct persist *persist);

/*
 * Call @each for all files, sorted by name, until it is not 0. Returns that. No folder:
 * there are none.
 */
int persist_for_each(int (*each)(const struct persist *persist, void *argument),
		     void *argument);

/* The attachment of the volume with this UUID. False: there is none. Prints nothing. */
bool persist_find(const char *uuid, struct persist *persist);

/*
 * Write it, durably, to the file that the volume has, or to a new one. @comment: a line
 * for people, or NULL. 0 or a negative errno, after a message.
 */
int persist_write(const struct persist *persist, const char *comment);

/*
 * Remove the file of the volume with this UUID. @found: there was one. 0 or a negative
 * errno, after a message.
 */
int persist_remove(const char *uuid, bool *found);

/* Can a volume be found again by this UUID? If not, prints why. */
bool persist_is_uuid(const char *name, const char *uuid);

/*
 * persist-mark.c: what the present run of the machine knows of a volume, in
 * /run/dmlive-attach. A mark that cannot be written is missing, after a warning.
 */
enum persist_mark {
	/* It was detached on purpose, until it is activated again. */
	PERSIST_DETACHED,
	/* Something happened to it while another process was at work on it. */
	PERSIST_MISSED,
	/* The same, but it was no change of its table. */
	PERSIST_MISSED_SYNTHETIC,
	/* It could not be attached; only an event of device-mapper is worth another try. */
	PERSIST_FAILED,
	/* From some byte on, see persist_note_changed(). */
	PERSIST_CHANGED,
};

void persist_set_mark(const struct volume *volume, enum persist_mark mark);
void persist_clear_mark(const struct volume *volume, enum persist_mark mark);

/* Is there a mark that was set since the device was made? */
bool persist_has_mark(const struct volume *volume, enum persist_mark mark);

/*
 * The content of @volume changed from @byte on, without any writes to it: its extents were
 * given away, or a snapshot was merged into it. The lowest byte counts, until the mark
 * PERSIST_CHANGED is cleared: by who has made a store say so. The mark may outlast the device.
 */
void persist_note_changed(const struct volume *volume, uint64_t byte);

/* UINT64_MAX: nothing is noted. */
uint64_t persist_changed_from(const struct volume *volume);

/*
 * Call @each with the UUIDs of volumes that have one of the PERSIST_MISSED marks, which is
 * cleared. What a process that is killed has not handled is handled by the next one.
 */
void persist_take_missed(void (*each)(const char *uuid, bool is_synthetic));
bool persist_is_any_missed(void);

#endif /* DMLIVE_ATTACH_PERSIST_H */
