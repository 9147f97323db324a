/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_VOLUME_H
#define DMLIVE_ATTACH_VOLUME_H

/*
 * The device that attach and detach work on. Functions that return an int return an exit
 * status, after a message.
 */

#include <stdbool.h>

#include "block/blockdev.h"
#include "lines/cbw-table.h"
#include "block/dm.h"

struct volume {
	struct blockdev device;
	bool is_mapped;
	/* For a mapped device: */
	char name[DM_NAME_BYTES];
	struct dm_device dm;
	struct dm_table table;		/* none when there is no live one */
	/* The caller holds the lock of lvm2, or a command of lvm2 does and waits for it. */
	bool is_locked;
};

/* @text: a path, GROUP/VOLUME or the name of a mapped device. Free it after errors too. */
int volume_find(const char *text, struct volume *volume);
void volume_free(struct volume *volume);

/* Read the table, the size and the state of a mapped device again. */
int volume_refresh(struct volume *volume);

/* "MAJOR:MINOR", as table lines have it. Returns @number. */
const char *volume_number(const struct volume *volume, char number[32]);

/*
 * What identifies the volume; "": nothing. A restore's device that has completed, a plain
 * mapping now, has the identity of the volume below it, since the device does not exist
 * after a restart of the machine. Returns @text.
 */
const char *volume_identity(const struct volume *volume, char *text,
			    size_t text_bytes);

/* Has it a cbw table? */
bool volume_is_cbw(const struct volume *volume, struct cbw_table *cbw);

#endif /* DMLIVE_ATTACH_VOLUME_H */
