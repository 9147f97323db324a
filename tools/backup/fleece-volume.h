/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_FLEECE_VOLUME_H
#define DMLIVE_BACKUP_FLEECE_VOLUME_H

/*
 * A fleece device that is a logical volume made for one backup: `--fleece VG`. It is
 * removed when the session has ended. Its name is on record, from before it is made, in
 * /run/dmlive/NAME.backup, so that recovery_lock_and_clear() removes it after a kill; and
 * its tags name the process that it belongs to, so that, after a reboot, the next backup
 * with a fleece device in the group does, unless a clone of this machine may use it.
 *
 * lvm2 is never run while a device is suspended or lvm_lock() is held.
 */

#include <limits.h>
#include <stdbool.h>

struct volume;

/* If no size is given: of the volume that is backed up. */
#define FLEECE_VOLUME_PERCENT 20

/*
 * Is @fleece, the value of --fleece, "VG" or "VG:SIZE%", and not the name of something in
 * this folder?
 */
bool fleece_volume_is_meant(const char *fleece);

/* Can it be understood? An exit status, after a message. */
int fleece_volume_check(const char *fleece);

/*
 * Choose name and tag, which are to be put on record before the volume is made; and remove
 * volumes in the group that killed backups have left. An exit status, after a message.
 */
int fleece_volume_plan(struct volume *volume, const char *fleece);

/* Make the volume that is planned. @path: of its node. The same. */
int fleece_volume_make(struct volume *volume, const char *fleece,
		       char path[PATH_MAX]);

/* Remove the volume, if there is one. A failure is only a warning. */
void fleece_volume_remove(struct volume *volume);

/*
 * Remove "GROUP/NAME", which is on record for a backup that was killed, if it has @tag,
 * which is too, or NULL.
 */
void fleece_volume_clear(const char *name, const char *tag);

#endif /* DMLIVE_BACKUP_FLEECE_VOLUME_H */
