/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_RECOVERY_H
#define DMLIVE_BACKUP_RECOVERY_H

/*
 * What a killed backup leaves: a session, a view, perhaps a suspended device. It is
 * on record in /run/dmlive/NAME.backup from before the table is touched until all is
 * undone.
 */

#include <stdbool.h>
#include <stdint.h>

struct volume;

/* Put the backup of @volume on record. 0 or a negative errno, with a message. */
int recovery_record(const struct volume *volume);

/* Remove the record: all is undone. */
void recovery_forget(const char *name);

/*
 * Take runtime_lock() of the mapped device @name, so that no backup can begin until
 * runtime_unlock() of what is returned, and undo what a killed backup of it has left,
 * if there is such a thing on record: then the device is as it was before. Waits for
 * the guard of one that was killed. -EBUSY, with a message, when a backup or restore
 * is under way; else a negative errno, with a message.
 */
int recovery_lock_and_clear(const char *name);

/*
 * The same for commands that take dmlive away from a device, which also work when
 * /run/dmlive is full or read-only. @lock_fd: -1 then, with a warning, since nothing
 * keeps others off. 0, or a negative errno as above.
 */
int recovery_clear_to_detach(const char *name, int *lock_fd);

/*
 * Resume those of @volumes that a backup has suspended in this order and not resumed:
 * it was killed, or could not. One whose session cannot be resumed gets its table from
 * before. All else is left to recovery_lock_and_clear(). @cookie: as dm_resume_group().
 * False: one stays suspended, and udev may wait for it.
 */
bool recovery_resume(struct volume *const *volumes, unsigned int nr,
		     uint32_t *cookie);

#endif /* DMLIVE_BACKUP_RECOVERY_H */
